#!/usr/bin/env bash
# The main job: installs what is missing, builds the program, reproduces the report, measures a
# short sweep and a profile, and makes one folder of it: results/MACHINE (its CPU, cores
# and instruction set) with tables, pictures and report.html.
# usage: scripts/run.sh [OPTION of `convmark report`...]    e.g. scripts/run.sh --seeds 10
# Run again, it resumes where it was interrupted; it needs no network when everything is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
    sed -n '2,6s/^# //p' "$0"
    exit 0
fi

data=$NEEDS_DATA
output=
previous=
shared=()   # options that the sweep has too
profiled=() # and those that the profile has
for argument in "$@"; do
    case $argument in
    --data | --data=*) data= ;;
    --output=*) output=${argument#*=} ;;
    esac
    case $argument in
    --data=* | --isa=*) shared+=("$argument") profiled+=("$argument") ;;
    --variants=* | --quiet) shared+=("$argument") ;;
    esac
    case $previous in
    --output) output=$argument ;;
    --data | --isa) shared+=("$previous" "$argument") profiled+=("$previous" "$argument") ;;
    --variants) shared+=("$previous" "$argument") ;;
    esac
    previous=$argument
done

require "$NEEDS_BUILD" "$NEEDS_PLOT" "$data"
say "building in build/release"
build release "$ROOT/build/release"
convmark=$ROOT/build/release/bin/convmark

# This machine as the name of a folder: amd-epyc-2-cores-avx2. Virtual machines hide the model:
# the instruction set distinguishes most of them.
machine_name() {
    local name
    name=$("$convmark" info --no-measure |
        sed -n 's/([^)]*)//g; s/^CPU *//p; s/^usable *\([0-9]*\) physical.*/\1 cores/p
            s/^instruction sets .* \([a-z0-9]*\)\*.*/\1/p')
    name=${name,,}
    sed 's/[^a-z0-9]\{1,\}/-/g; s/^-//; s/-$//' <<<"${name//$'\n'/ }"
}

if [ -z "$output" ]; then
    output=$ROOT/results/$(machine_name)
    mkdir -p "$ROOT/results"
    set -- "$@" --output "$output"
fi
say "convmark report $*"
"$convmark" report "$@"
say "convmark sweep: images/s over variants and cores, about two minutes"
"$convmark" sweep --no-accuracy --rounds 6 --seconds 0.15 --output "$output" "${shared[@]}"
say "convmark profile bn-16: where the time of a step goes"
"$convmark" profile bn-16 --threads 1 --steps 20 --json "$output/profile-bn-16.json" \
    "${profiled[@]}" >"$output/profile-bn-16.txt"
"$(find_python matplotlib,jinja2)" "$ROOT/scripts/plots/report_page.py" "$output"
say "all of it is in $output: report.html, report.md, sweep.md, profile-bn-16.txt, pictures, .json"
