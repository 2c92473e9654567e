#!/usr/bin/env bash
# Builds convmark with each compiler and setting, runs the tests of each build, checks format and
# rules. Installs what is missing. The last line counts passed, failed and skipped tests.
# usage: scripts/test.sh [--quick | --all]
#   --quick  gcc's optimised build only; installs nothing for clang or ARM
#   --all    every test in every build, with the thread and memory sanitizers and without OpenMP
#            too; all faults, coverage, longer fuzzing. Only so is dpkg told of the architecture
#            arm64, where the libraries for the ARM build are missing; else that build is skipped
set -uo pipefail
. "$(dirname "$0")/lib.sh"
CDPATH= cd -- "$ROOT" || exit 1

mode=normal
case ${1:-} in
'') ;;
--quick | --all) mode=${1#--} ;;
--help | -h) sed -n '2,9s/^# //p' "$0" && exit 0 ;;
*) fail_usage "unknown option '$1' (try --help)" ;;
esac

passed=0 failed=0 skipped=0
failures=()

# check NAME COMMAND...: one test of its own.
check() {
    local name=$1 start=$SECONDS
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        failures+=("$name")
    fi
    say "$name: $((SECONDS - start)) s"
}

# build_and_test PRESET LABEL: the tests with this label (tests/CMakeLists.txt). With --all it runs
# every test that is not labelled `outside`, except under the thread sanitizer, which has nothing to
# find where threads share no data.
build_and_test() {
    local preset=$1 label=$2 folder=$ROOT/build/test/$1 start=$SECONDS counts
    local -a targets=() tests=(-LE '^outside$')
    if [ "$label" = threads ] || { [ "$label" != all ] && [ $mode != all ]; }; then
        targets=(convmark "tests_$label")
        tests=(-L "^$label\$")
    elif [ "$preset" = release ]; then
        tests=()
    fi
    mkdir -p "$folder"
    say "$preset: building"
    if ! build "$preset" "$folder" -DCONVMARK_WERROR=ON -DCONVMARK_TESTS=ON \
        -DCONVMARK_EXAMPLES=ON -- ${targets+"${targets[@]}"} >"$folder/build.log" 2>&1; then
        tail -n 60 "$folder/build.log"
        failed=$((failed + 1))
        failures+=("$preset: build")
        return
    fi
    say "$preset: testing (built in $((SECONDS - start)) s)"
    start=$SECONDS
    rm -f "$folder/junit.xml"
    ctest --test-dir "$folder" --output-on-failure --no-tests=error --timeout 900 \
        -j "$(nproc)" --output-junit "$folder/junit.xml" ${tests+"${tests[@]}"} ||
        failures+=("$preset: tests")
    if ! counts=$(python3 -I scripts/ci/junit.py "$folder/junit.xml"); then
        failed=$((failed + 1))
        return
    fi
    read -ra counts <<<"$counts"
    passed=$((passed + counts[0]))
    failed=$((failed + counts[1]))
    skipped=$((skipped + counts[2]))
    say "$preset: tested in $((SECONDS - start)) s"
}

machine=$(uname -m)
needs="$NEEDS_BUILD $NEEDS_DATA $NEEDS_TEST $NEEDS_PLOT"
[ $mode != quick ] && needs+="$NEEDS_CLANG"
# On ARM itself the native builds are the ARM ones; elsewhere the cross-build needs Debian's
# packages of libraries for another processor.
cross=no
if [ $mode != quick ] && [ "$machine" != aarch64 ]; then
    if [ -z "$(missing "$NEEDS_AARCH64")" ] || { [ $mode = all ] && is_debian_like; }; then
        cross=yes
        needs+="$NEEDS_AARCH64"
    else
        cross=missing
    fi
fi
[ $mode != quick ] && needs+="$NEEDS_FUZZ"
[ $mode = all ] && needs+="$NEEDS_TSAN$NEEDS_MSAN$NEEDS_COVERAGE"
require "$needs"
PATH=$(dirname "$(find_cmake 3.25)"):$PATH # ctest of the same cmake

check "rules" python3 -I scripts/ci/check_rules.py
check "layers" python3 -I scripts/ci/check_layers.py
check "words" python3 -I scripts/ci/check_words.py
check "figures" python3 -I scripts/ci/figures.py --check
# Every fault there is, once (tests/cli/test_faults.py): other builds try some of each kind.
CONVMARK_FAULTS=$([ $mode = all ] && echo full) build_and_test release all
if [ $mode != quick ]; then
    check "format" scripts/ci/check_format.sh
    build_and_test clang compiler
    build_and_test asan-ubsan memory
    # Their committed inputs are among the tests of every build; this looks for new ones.
    check "fuzz targets" scripts/ci/fuzz.sh "$([ $mode = all ] && echo 60 || echo 4)"
    [ $cross = yes ] && build_and_test aarch64 arm
    if [ $cross = missing ]; then
        say "aarch64: skipped: the cross-build needs Debian's arm64 packages (--all installs them)"
        skipped=$((skipped + 1))
    fi
fi
if [ $mode = all ]; then
    export TSAN_OPTIONS=ignore_noninstrumented_modules=1
    # Archer, beside the OpenMP runtime, tells the sanitizer of its forks and joins.
    export OMP_TOOL_LIBRARIES=$(dirname "$(readlink -f "$(command -v clang)")")/../lib/libarcher.so
    build_and_test tsan threads
    build_and_test msan all
    build_and_test no-openmp all
    check "coverage" scripts/ci/coverage.sh
fi

for failure in ${failures+"${failures[@]}"}; do
    say "FAILED: $failure"
done
[ "$skipped" -gt 0 ] && say "$skipped skipped (what they need is not installed)"
say "$((SECONDS / 60)) minutes $((SECONDS % 60)) seconds"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "${#failures[@]}" -eq 0 ] && [ "$passed" -gt 0 ]
