#!/usr/bin/env bash
# The main job: installs what is missing, builds the program, reproduces the report.
# usage: scripts/run.sh [OPTION of `convmark report`...]    e.g. scripts/run.sh --seeds 10
# Run again, it goes on where it was interrupted; it needs no network when everything is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,4s/^# //p' "$0"
    exit 0
fi

data=$NEEDS_DATA
output=
previous=
for argument in "$@"; do
    case $argument in
    --data | --data=*) data= ;;
    --output=*) output=${argument#*=} ;;
    esac
    [ "$previous" = --output ] && output=$argument
    previous=$argument
done

require "$NEEDS_BUILD" "$data"
say "building in build/release"
build release "$ROOT/build/release" -DCONVMARK_TESTS=OFF

if [ -z "$output" ]; then
    output=$ROOT/out/report
    mkdir -p "$ROOT/out"
    set -- "$@" --output "$output"
fi
say "convmark report $*"
"$ROOT/build/release/src/convmark" report "$@"
say "the report is in $output/report.md, its figures in $output/report.json"
