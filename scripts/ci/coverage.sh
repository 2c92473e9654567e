#!/usr/bin/env bash
# Which lines and branches the tests run: builds with gcc's --coverage, runs the tests, prints a
# table of the parsers and of the whole project. Exit code 1 when a test fails or a row is below
# its floors. docs/design/fuzzing.md has the figures.
# usage: scripts/ci/coverage.sh [--missed [FILE...]]
#   --missed  also each line and branch of the parsers, or of these files, that is never run
set -uo pipefail
. "$(dirname "$0")/../lib.sh"
CDPATH= cd -- "$ROOT" || exit 1

missed=()
case ${1:-} in
'') ;;
--missed) missed=("$@") ;;
--help | -h) sed -n '2,6s/^# //p' "$0" && exit 0 ;;
*) fail_usage "unknown option '$1' (try --help)" ;;
esac

require "$NEEDS_BUILD $NEEDS_DATA $NEEDS_TEST"
folder=$ROOT/build/coverage
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
python3 -I scripts/ci/coverage_table.py "$folder" ${missed+"${missed[@]}"} || status=1
exit $status
