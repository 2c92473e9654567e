#!/usr/bin/env bash
# The main job: installs what is missing, builds the program, reproduces the report, measures a
# short sweep, and makes one folder of it: out/report with tables, pictures and report.html.
# usage: scripts/run.sh [OPTION of `convmark report`...]    e.g. scripts/run.sh --seeds 10
# Run again, it goes on where it was interrupted; it needs no network when everything is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,5s/^# //p' "$0"
    exit 0
fi

data=$NEEDS_DATA
output=
previous=
shared=() # options that the sweep has too
for argument in "$@"; do
    case $argument in
    --data | --data=*) data= ;;
    --output=*) output=${argument#*=} ;;
    esac
    case $argument in
    --data=* | --variants=* | --isa=* | --quiet) shared+=("$argument") ;;
    esac
    case $previous in
    --output) output=$argument ;;
    --data | --variants | --isa) shared+=("$previous" "$argument") ;;
    esac
    previous=$argument
done

require "$NEEDS_BUILD" "$NEEDS_PLOT" "$data"
say "building in build/release"
build release "$ROOT/build/release" -DCONVMARK_TESTS=OFF
convmark=$ROOT/build/release/src/convmark

if [ -z "$output" ]; then
    output=$ROOT/out/report
    mkdir -p "$ROOT/out"
    set -- "$@" --output "$output"
fi
say "convmark report $*"
"$convmark" report "$@"
say "convmark sweep: images/s over variants and cores, about two minutes"
"$convmark" sweep --no-accuracy --rounds 6 --seconds 0.15 --output "$output" "${shared[@]}"
"$(find_python matplotlib)" "$ROOT/scripts/report_page.py" "$output"
say "all of it is in $output: report.html, report.md, sweep.md, the figures as .json, pictures"
