# Shared by run.sh and test.sh: what this project needs, finding it, installing it, building.
# Sourced by bash, from any folder.

ROOT=$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '== %s\n' "$*"
}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Of what was asked for, not of the work.
fail_usage() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# What is needed, a row each: kind, what to look for, Debian's package, Fedora's.
#   command  a program in PATH         module  a pkg-config module
#   file     a file                    cmake   a cmake of this version or a later one
#   links    a compiler, with options after commas, that makes a program
#   python   modules, with commas, that one python3 has
#   data     Fashion-MNIST in one of the places where the program looks for it
NEEDS_BUILD='
cmake    3.25                   cmake               cmake
command  ninja                  ninja-build         ninja-build
command  gcc                    gcc                 gcc
links    gcc                    libc6-dev           glibc-devel
command  pkg-config             pkg-config          pkgconf-pkg-config
module   zlib                   zlib1g-dev          zlib-devel
module   libpng                 libpng-dev          libpng-devel
module   hwloc                  libhwloc-dev        hwloc-devel
module   jansson                libjansson-dev      jansson-devel
module   libmd                  libmd-dev           libmd-devel
module   popt                   libpopt-dev         popt-devel
module   benchmark              libbenchmark-dev    google-benchmark-devel
command  g++                    g++                 gcc-c++'
NEEDS_DATA='
data     fashion-mnist          dataset-fashion-mnist  -'
NEEDS_PLOT='
command  python3                python3             python3
python   matplotlib,jinja2      python3-matplotlib  python3-matplotlib
python   matplotlib,jinja2      python3-jinja2      python3-jinja2'
NEEDS_TEST='
command  chromium               chromium            chromium
command  ctags                  universal-ctags     ctags
command  git                    git                 git
command  python3                python3             python3
module   cmocka                 libcmocka-dev       libcmocka-devel
python   jsonschema             python3-jsonschema  python3-jsonschema
file     /usr/share/i18n/locales/de_DE  locales     glibc-locale-source'
NEEDS_PEERS='
command  python3                python3             python3
command  g++                    g++                 gcc-c++'
NEEDS_CLANG='
command  clang                  clang               clang
links    clang,-fopenmp         libomp-dev          libomp-devel
command  clang-format-14        clang-format-14     clang-tools-extra'
NEEDS_TSAN='
links    clang,-fsanitize=thread  libclang-rt-14-dev  compiler-rt'
NEEDS_MSAN='
links    clang,-fsanitize=memory  libclang-rt-14-dev  compiler-rt'
NEEDS_COVERAGE='
command  gcovr                  gcovr               gcovr'
NEEDS_FUZZ='
command  clang                  clang               clang
links    clang,-fopenmp         libomp-dev          libomp-devel
links    clang,-fsanitize=fuzzer-no-link,-fsanitize=address  libclang-rt-14-dev  compiler-rt'
ARM=/usr/lib/aarch64-linux-gnu
NEEDS_AARCH64="
command  aarch64-linux-gnu-gcc  gcc-aarch64-linux-gnu  gcc-aarch64-linux-gnu
command  qemu-aarch64           qemu-user           qemu-user
file     $ARM/libc.so           libc6-dev:arm64     -
file     $ARM/libgomp.so.1      libgomp1:arm64      -
file     $ARM/pkgconfig/zlib.pc     zlib1g-dev:arm64    -
file     $ARM/pkgconfig/libpng.pc   libpng-dev:arm64    -
file     $ARM/pkgconfig/hwloc.pc    libhwloc-dev:arm64  -
file     $ARM/pkgconfig/jansson.pc  libjansson-dev:arm64  -
file     $ARM/pkgconfig/libmd.pc    libmd-dev:arm64     -
file     $ARM/pkgconfig/popt.pc     libpopt-dev:arm64   -
file     $ARM/pkgconfig/cmocka.pc   libcmocka-dev:arm64 -"

# The first cmake of at least version $1: the one in PATH, or else the system's own.
find_cmake() {
    local candidate version
    for candidate in "$(command -v cmake)" /usr/bin/cmake; do
        version=$("$candidate" --version 2>/dev/null | sed -n 's/^cmake version //p')
        if [ -n "$version" ] && printf '%s\n' "$1" "$version" | sort -V -C; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# The first python3 that has the modules $1 ("a,b"): the one in PATH, or else the system's own.
find_python() {
    local candidate
    for candidate in "$(command -v python3)" /usr/bin/python3; do
        if "$candidate" -I -c "import $1" 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

have_data() {
    local folder cache=${HOME:-}/.cache
    case ${XDG_CACHE_HOME:-} in
    /*) cache=$XDG_CACHE_HOME ;; # a relative one does not count, says its specification
    esac
    for folder in "${CONVMARK_DATA:-}" "$cache/convmark/fashion-mnist" \
        /usr/share/datasets/fashion-mnist; do
        if [ -n "$folder" ] && { [ -e "$folder/train-images-idx3-ubyte" ] ||
            [ -e "$folder/train-images-idx3-ubyte.gz" ]; }; then
            return 0
        fi
    done
    return 1
}

# Whether compiler and options "$1" ("clang,-fopenmp") turn a small program into a file.
links() {
    local words
    IFS=, read -ra words <<<"$1"
    "${words[@]}" -x c - -o /dev/null 2>/dev/null <<<'#include <stdio.h>
int main(void) { return puts("") < 0; }'
}

have() {
    case $1 in
    command) command -v "$2" >/dev/null ;;
    module) pkg-config --exists "$2" 2>/dev/null ;;
    file) [ -e "$2" ] ;;
    links) links "$2" ;;
    cmake) find_cmake "$2" >/dev/null ;;
    data) have_data ;;
    python) find_python "$2" >/dev/null ;;
    *) fail "unknown kind of need: $1" ;;
    esac
}

# The rows of the tables given that this machine lacks.
missing() {
    local kind what debian fedora
    while read -r kind what debian fedora; do
        if [ -n "$kind" ] && ! have "$kind" "$what"; then
            printf '%s %s %s %s\n' "$kind" "$what" "$debian" "$fedora"
        fi
    done <<<"$*"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "installing packages needs root: install sudo, or run as root: $*"
    fi
}

is_debian_like() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null
}

apt_install() {
    say "installing: $*"
    case " $* " in
    *:arm64\ *) dpkg --print-foreign-architectures | grep -qx arm64 ||
        as_root dpkg --add-architecture arm64 ;;
    esac
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends "$@"
}

# Makes sure that everything in the tables given is there: installs Debian's packages where there
# is apt, and else says what to install and stops. Where nothing is missing nothing is run.
require() {
    local rows
    rows=$(missing "$@")
    if [ -n "$rows" ] && is_debian_like; then
        # shellcheck disable=SC2046 # one word a package
        apt_install $(awk '{ print $3 }' <<<"$rows" | sort -u) || fail "apt-get failed (above)"
        rows=$(missing "$@")
    fi
    [ -z "$rows" ] && return 0
    {
        echo "$(basename "$0"): these are missing here; install them and run it again:"
        printf '  %-9s %-28s %-24s %s\n' kind name "Debian package" "Fedora package"
        awk '{ printf "  %-9s %-28s %-24s %s\n", $1, $2, $3, $4 }' <<<"$rows"
        if grep -q '^data ' <<<"$rows"; then
            echo "The data set: scripts/get-data.sh downloads it where there is no package."
        fi
    } >&2
    exit 1
}

# build PRESET FOLDER [OPTION...] [-- TARGET...]: configures, then builds everything or these
# targets, with a compiler cache where ccache is installed.
build() {
    local preset=$1 folder=$2 cmake
    local -a options=() targets=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -gt 1 ] && shift && targets=(--target "$@")
    if command -v ccache >/dev/null; then
        options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    fi
    cmake=$(find_cmake 3.25)
    (CDPATH= cd -- "$ROOT" && "$cmake" --preset "$preset" -B "$folder" ${options+"${options[@]}"} &&
        "$cmake" --build "$folder" ${targets+"${targets[@]}"})
}
