#!/usr/bin/env bash
# Which lines and branches the tests run: builds with gcc's --coverage, runs the tests, prints a
# table of the parsers and of the whole project, by gcovr. Exit code 1 when a test fails or a row is
# below its floors. docs/design/fuzzing.md has the figures.
# usage: scripts/ci/coverage.sh [--table] [--missed [FILE...]]
#   --table   count what the last run left in build/coverage; build and run nothing
#   --missed  also list the lines and branches of the parsers, or of these files, that never run
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
CDPATH= cd -- "$ROOT" || exit 1

# A row: name, floors of lines and branches in percent, files.
PARSERS='
IDX, gzip     | 100 | 95 | src/core/data/idx.c
PNG           | 100 | 95 | src/core/data/png_image.c
safetensors   | 100 | 95 | src/core/network/safetensors.c src/core/network/model_file.c
network text  | 100 | 95 | src/core/network/network_text.c
JSON, results | 100 | 95 | src/core/files/json.c src/harness/compare/results_file.c \
                           src/harness/record/measurement.c
shapes        | 100 | 95 | bench/shapes.c
checkpoint    | 100 | 95 | src/core/train/checkpoint.c src/core/train/checkpoint_values.c'
PROJECT='
src, kernels, bench | 90 | 80 | src/ kernels/ bench/'
# Objects for processors that this one may not be: the flag in /proc/cpuinfo, and their folder.
# Without the flag they are not counted.
PROCESSORS='
avx512f  cm_kernels_avx512
avx2     cm_kernels_avx2'

table=no missed=no missed_files=()
while [ $# -gt 0 ]; do
    case $1 in
    --table) table=yes ;;
    --missed)
        missed=yes missed_files=("${@:2}")
        break
        ;;
    --help | -h) sed -n '2,7s/^# //p' "$0" && exit 0 ;;
    *) fail_usage "unknown option '$1' (try --help)" ;;
    esac
    shift
done

folder=$ROOT/build/coverage
counts=$folder/coverage.json

# Reads what gcc counted into $counts. Objects of one file are added up.
count() {
    local flag part lacking=()
    while read -r flag part; do
        if [ -n "$flag" ] && ! grep -qw "$flag" /proc/cpuinfo; then
            lacking+=(--exclude-directories ".*$part.*")
            say "not counted, as this processor cannot run them: $part"
        fi
    done <<<"$PROCESSORS"
    gcovr --root "$ROOT" --filter src/ --filter kernels/ --filter bench/ -j "$(nproc)" \
        ${lacking+"${lacking[@]}"} --json "$counts" "$folder"
}

# gcovr over $counts: options, then the files that are to count, as words of the last argument.
of_files() {
    local file filters=()
    for file in ${*: -1}; do
        filters+=(--filter "${file//./\\.}$([ "${file%/}" != "$file" ] || echo '$')")
    done
    gcovr --root "$ROOT" --add-tracefile "$counts" "${filters[@]}" "${@:1:$#-1}"
}

# Prints the rows of $1; fails if one is below its floors. A row without files is below them.
print_rows() {
    local name lines branches files summary low bad=0
    while IFS='|' read -r name lines branches files; do
        [ -n "$name" ] || continue
        low=''
        # The output is a file of its own: gcovr deletes what it is to write, /dev/null too.
        summary=$(of_files --print-summary --fail-under-line "$lines" \
            --fail-under-branch "$branches" --output "$folder/coverage.txt" "$files" 2>/dev/null) ||
            low="  below$lines%,$branches%" bad=1
        sed -n 's/^\(lines\|branches\): \([0-9.]*%\) (\([0-9]*\) out of \([0-9]*\))/\3 \4 \2/p' \
            <<<"$summary" | tr '\n' ' ' | awk -v name="$name" -v low="$low" '{
                printf "%-20s %6s of %6s %7s ", name, $1, $2, $3
                printf "%6s of %6s %7s%s\n", $4, $5, $6, low }'
    done <<<"$1"
    return $bad
}

print_table() {
    local status=0
    count || return 1
    printf '%-20s %24s %24s\n' '' 'lines run' 'branches taken'
    print_rows "${PARSERS//\\$'\n'/}" || status=1
    print_rows "$PROJECT" || status=1
    if [ $missed = yes ]; then
        [ ${#missed_files[@]} -gt 0 ] ||
            mapfile -t missed_files < <(grep -oE '[a-z_/0-9]+\.c' <<<"$PARSERS")
        of_files --txt "${missed_files[*]}"
        of_files --txt --branches "${missed_files[*]}"
    fi
    return $status
}

if [ $table = yes ]; then
    require "$NEEDS_COVERAGE"
    [ -n "$(find "$folder" -name '*.gcda' -print -quit 2>/dev/null)" ] ||
        fail "build/coverage has no counts; run scripts/ci/coverage.sh without --table"
    print_table
    exit
fi

require "$NEEDS_BUILD $NEEDS_DATA $NEEDS_TEST $NEEDS_COVERAGE"
PATH=$(dirname "$(find_cmake 3.25)"):$PATH
mkdir -p "$folder"
say "building"
if ! build coverage "$folder" >"$folder/build.log" 2>&1; then
    tail -n 60 "$folder/build.log"
    exit 1
fi
say "testing"
find "$folder" -name '*.gcda' -delete
# Kernels that are counted take their time. Left out: the label `outside` (tests/CMakeLists.txt),
# what looks at programs or at the table and runs none; faults, which disturbs gcc's own writing of
# the counts. Of golden the quick part is run.
export CONVMARK_CHECK_CASES=4 OMP_WAIT_POLICY=passive
status=0
ctest --test-dir "$folder" --output-on-failure --no-tests=error --timeout 900 -j "$(nproc)" \
    -LE '^outside$' -E '^(golden|faults|symbols|coverage)$' || status=1
(CDPATH= cd -- tests && "$folder/tests/test_golden" --quick) || status=1
print_table || status=1
exit $status
