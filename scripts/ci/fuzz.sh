#!/usr/bin/env bash
# Builds the fuzz targets (clang's libFuzzer with address and undefined-behaviour sanitizers) and
# runs them from the committed inputs on, as many at a time as there are cores. Prints executions,
# coverage and finds of each. docs/design/fuzzing.md says what to do with a find.
# usage: scripts/ci/fuzz.sh [SECONDS] [TARGET...]
#   SECONDS  for each target (default: 60)
#   TARGET   such as idx; all of them by default
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
CDPATH= cd -- "$ROOT" || exit 1

seconds=60
case ${1:-} in
--help | -h) sed -n '2,7s/^# //p' "$0" && exit 0 ;;
'' | *[!0-9]*) ;;
*)
    seconds=$1
    shift
    ;;
esac
sources=tests/fuzz
# name and more folders of inputs, from the list of targets: "network_text data/networks/good ..."
rows=$(sed -n 's/^cm_add_fuzz_target(\(.*\))$/\1/p' $sources/CMakeLists.txt |
    sed 's/ WHOLE//; s/ FOLDERS//')
targets=$(awk '{ print $1 }' <<<"$rows")
for target in "$@"; do
    grep -qx -e "$target" <<<"$targets" ||
        fail_usage "no fuzz target '$target'; there are:" $targets
done
[ $# -gt 0 ] && targets=$(printf '%s\n' "$@")

require "$NEEDS_BUILD $NEEDS_TEST $NEEDS_FUZZ"
folder=$ROOT/build/fuzz
cmake=$(find_cmake 3.25)
mkdir -p "$folder/logs"
say "building"
if ! { "$cmake" --preset fuzz && "$cmake" --build --preset fuzz; } >"$folder/build.log" 2>&1; then
    tail -n 60 "$folder/build.log"
    exit 1
fi

# One target: from what earlier runs found and from the committed inputs on.
run() {
    local target=$1 more
    local grown=$folder/corpus/$target finds=$folder/finds/$target
    local -a options=(-max_total_time="$seconds" -max_len=4096 -timeout=30 -rss_limit_mb=3000
        -print_final_stats=1 -artifact_prefix="$finds/")
    [ -e "$sources/$target.dict" ] && options+=("-dict=$sources/$target.dict")
    mkdir -p "$grown" "$finds"
    read -ra more <<<"$(sed -n "s/^$target //p" <<<"$rows")"
    "$folder/tests/fuzz/fuzz_$target" "${options[@]}" "$grown" "$sources/corpus/$target" \
        ${more+"${more[@]/#/tests/}"} >"$folder/logs/$target" 2>&1
    echo $? >"$folder/logs/$target.status"
}

say "fuzzing: $seconds s a target"
rm -f "$folder"/logs/*
export OMP_WAIT_POLICY=passive
for target in $targets; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
        wait -n
    done
    run "$target" &
done
wait

# The last number after word $1 in log $2; - where there is none.
last() {
    sed -n "s/.*\b$1:* *\([0-9]\{1,\}\).*/\1/p" "$folder/logs/$2" | tail -n 1 | grep . || echo -
}

failures=0
printf '%-14s %12s %8s %9s %8s %6s\n' target executions edges features inputs finds
for target in $targets; do
    finds=$(find "$folder/finds/$target" -type f | wc -l)
    printf '%-14s %12s %8s %9s %8s %6s\n' "$target" "$(last number_of_executed_units "$target")" \
        "$(last cov "$target")" "$(last ft "$target")" "$(last corp "$target")" "$finds"
    if [ "$finds" -gt 0 ] || [ "$(cat "$folder/logs/$target.status")" -ne 0 ]; then
        failures=$((failures + 1))
        grep -m 3 -e 'does not hold' -e 'ERROR:' -e 'runtime error' -e SUMMARY \
            "$folder/logs/$target"
        find "$folder/finds/$target" -type f -printf 'kept: %p\n'
        echo "log: $folder/logs/$target"
    fi
done
[ $failures -eq 0 ]
