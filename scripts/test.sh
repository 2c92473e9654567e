#!/usr/bin/env bash
# All tests: installs what is missing, builds with each compiler and setting, runs the tests in
# each, checks format and rules. The last line says how many passed and how many failed.
# Where the ARM libraries are missing, dpkg is told of the architecture arm64 to install them.
# usage: scripts/test.sh [--quick | --all]
#   --quick  gcc's optimised build only, nothing for clang or ARM is installed
#   --all    thread and memory sanitizer and a build without OpenMP as well, every fault there is,
#            coverage, and fuzzing for longer
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

mode=normal
case ${1:-} in
'') ;;
--quick | --all) mode=${1#--} ;;
--help | -h) sed -n '2,8s/^# //p' "$0" && exit 0 ;;
*) fail_usage "unknown option '$1' (try --help)" ;;
esac

passed=0 failed=0 skipped=0
failures=()

# check NAME COMMAND...: one test of its own.
check() {
    local name=$1
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        failures+=("$name")
    fi
}

# The value of an attribute of a JUnit file's first element.
attribute() {
    sed -n "/<testsuite/,/>/s/.*\b$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1
}

# build_and_test PRESET [OPTION of ctest...]
build_and_test() {
    local preset=$1 folder=$ROOT/build/test/$1 start=$SECONDS total bad left
    shift
    mkdir -p "$folder"
    say "$preset: building"
    if ! build "$preset" "$folder" -DCONVMARK_WERROR=ON >"$folder/build.log" 2>&1; then
        tail -n 60 "$folder/build.log"
        failed=$((failed + 1))
        failures+=("$preset: build")
        return
    fi
    say "$preset: testing (built in $((SECONDS - start)) s)"
    rm -f "$folder/junit.xml"
    ctest --test-dir "$folder" --output-on-failure --no-tests=error --timeout 900 \
        -j "$(nproc)" --output-junit "$folder/junit.xml" "$@" || failures+=("$preset: tests")
    if [ ! -s "$folder/junit.xml" ]; then
        failed=$((failed + 1))
        return
    fi
    total=$(attribute tests "$folder/junit.xml")
    bad=$(attribute failures "$folder/junit.xml")
    left=$(($(attribute skipped "$folder/junit.xml") + $(attribute disabled "$folder/junit.xml")))
    passed=$((passed + total - bad - left))
    failed=$((failed + bad))
    skipped=$((skipped + left))
}

machine=$(uname -m)
needs="$NEEDS_BUILD $NEEDS_DATA $NEEDS_TEST $NEEDS_PLOT"
[ $mode != quick ] && needs+="$NEEDS_CLANG"
# On ARM itself the native builds are the ARM ones; elsewhere the cross-build needs Debian's
# packages of libraries for another processor.
cross=no
if [ $mode != quick ] && [ "$machine" != aarch64 ]; then
    if is_debian_like || [ -z "$(missing "$NEEDS_AARCH64")" ]; then
        cross=yes
        needs+="$NEEDS_AARCH64"
    else
        cross=missing
    fi
fi
[ $mode != quick ] && needs+="$NEEDS_FUZZ"
[ $mode = all ] && needs+="$NEEDS_TSAN$NEEDS_MSAN"
require "$needs"
PATH=$(dirname "$(find_cmake 3.25)"):$PATH # ctest of the same cmake

check "rules" python3 scripts/ci/check_rules.py
# Every fault there is, once (tests/cli/test_faults.py): other builds try some of each kind.
CONVMARK_FAULTS=$([ $mode = all ] && echo full) build_and_test release
if [ $mode != quick ]; then
    check "format" scripts/ci/check_format.sh
    build_and_test clang -LE 'outside|commands' # labels: tests/CMakeLists.txt
    build_and_test asan-ubsan -LE "$([ $mode = all ] && echo outside || echo 'outside|commands')"
    # Their committed inputs are among the tests of every build; this looks for new ones.
    check "fuzz targets" scripts/ci/fuzz.sh "$([ $mode = all ] && echo 60 || echo 8)"
    [ $cross = yes ] && build_and_test aarch64
    if [ $cross = missing ]; then
        say "aarch64: skipped: the cross-build needs Debian's arm64 packages"
        skipped=$((skipped + 1))
    fi
fi
if [ $mode = all ]; then
    export TSAN_OPTIONS=ignore_noninstrumented_modules=1
    # Archer, beside the OpenMP runtime, tells the sanitizer of its forks and joins.
    export OMP_TOOL_LIBRARIES=$(dirname "$(readlink -f "$(command -v clang)")")/../lib/libarcher.so
    build_and_test tsan -LE outside
    build_and_test msan
    build_and_test no-openmp -LE outside
    check "coverage" scripts/ci/coverage.sh
fi

for failure in ${failures+"${failures[@]}"}; do
    say "FAILED: $failure"
done
[ "$skipped" -gt 0 ] && say "$skipped skipped (what they need is not installed)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "${#failures[@]}" -eq 0 ] && [ "$passed" -gt 0 ]
