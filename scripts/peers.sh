#!/usr/bin/env bash
# convmark's peers: the same networks in other frameworks, for parity and for speed
# (docs/guide/peers.md).
#
# usage: scripts/peers.sh COMMAND [OPTION...]
#   setup [NAME...] Python environments in the cache folder, of pytorch, tensorflow, inference (ONNX
#                   Runtime and OpenVINO) and onednn, or of the named ones; repeatable
#   speed           images/s of all, in turn in one run (speed --help: options)
#   check           whether each peer computes what convmark computes (check --help: options)
#   golden          computes tests/oracles/pytorch_golden.json again (after a change of initial
#                   values or of the numeric contract); some minutes. --variants ID,...: these rows
#                   only
#   test            the parity test, with PyTorch itself where setup was done
#
# The environments are $XDG_CACHE_HOME/convmark/peers* (or ~/.cache/...). pip takes the packages
# from where it is configured to. $CONVMARK_BUILD is the build folder: build/release if it is not
# set.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PEERS=$ROOT/scripts/peers
CACHE=${HOME:-}/.cache
case ${XDG_CACHE_HOME:-} in
/*) CACHE=$XDG_CACHE_HOME ;; # a relative one does not count, says its specification
esac
CACHE=$CACHE/convmark
PYTHON=$CACHE/peers/bin/python
BUILD=${CONVMARK_BUILD:-$ROOT/build/release}
export CONVMARK_LIBRARY=$BUILD/lib/libconvmark.so CONVMARK=$BUILD/bin/convmark
export PYTHONDONTWRITEBYTECODE=1

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

# Name, folder in the cache, file of pinned versions, what is run at the end of the installation.
ENVIRONMENTS='
pytorch     peers             requirements.txt             model.py
tensorflow  peers-tensorflow  requirements-tensorflow.txt  -
inference   peers-inference   requirements-inference.txt   -
onednn      peers-onednn      requirements-onednn.txt      -'

# The row of environment "$1"; false: there is none.
environment() {
    awk -v name="$1" '$1 == name { print; found = 1 } END { exit !found }' <<<"$ENVIRONMENTS"
}

installed() {
    local name folder pins test
    read -r name folder pins test <<<"$(environment "$1")"
    cmp -s "$PEERS/$pins" "$CACHE/$folder/installed.txt"
}

setup_one() {
    local name folder pins test
    read -r name folder pins test <<<"$(environment "$1")"
    folder=$CACHE/$folder
    if installed "$name"; then
        say "$name is there: $folder"
        return
    fi
    say "creating $folder"
    python3 -m venv "$folder" || fail "python3 -m venv failed; on Debian: apt install python3-venv"
    say "installing with pip: $(grep -v '^#' "$PEERS/${pins%.txt}.in" | tr '\n' ' ')"
    "$folder/bin/pip" install --quiet --require-hashes --requirement "$PEERS/$pins" ||
        fail "pip could not install the packages; check its configuration and the network"
    [ "$test" = - ] || "$folder/bin/python" "$PEERS/$test"
    cp "$PEERS/$pins" "$folder/installed.txt"
}

setup() {
    local name
    [ $# -gt 0 ] || set -- pytorch tensorflow inference onednn
    for name in "$@"; do
        environment "$name" >/dev/null ||
            wrong_usage "unknown environment \"$name\": not of $(awk '{ print $1 }' \
                <<<"$ENVIRONMENTS" | xargs)"
    done
    require "$NEEDS_BUILD" "$NEEDS_PEERS"
    for name in "$@"; do
        setup_one "$name"
    done
    say "done; next: scripts/peers.sh check, scripts/peers.sh speed"
}

need_torch() {
    installed pytorch ||
        fail "PyTorch's environment is missing or old; run: scripts/peers.sh setup pytorch"
}

need_build() {
    if [ -n "${CONVMARK_BUILD:-}" ]; then
        [ -e "$CONVMARK_LIBRARY" ] || fail "no libconvmark.so in $BUILD/lib; build there first"
        return
    fi
    say "building in build/release"
    build release "$BUILD"
}

# The libraries of scripts/peers/conv_peer.h, in $CONVMARK_CONV_FOLDER.
build_conv() {
    local onednn=$CACHE/peers-onednn common=(-std=c17 -O2 -Wall -Wextra -shared -fPIC)
    export CONVMARK_CONV_FOLDER=$BUILD/peers
    mkdir -p "$CONVMARK_CONV_FOLDER"
    "${CC:-cc}" "${common[@]}" "$PEERS/conv_convmark.c" -I"$ROOT/include" -L"$BUILD/lib" \
        -Wl,-rpath,"$BUILD/lib" -lconvmark -o "$CONVMARK_CONV_FOLDER/libconv_convmark.so"
    if installed onednn; then
        "${CC:-cc}" "${common[@]}" "$PEERS/conv_onednn.c" -I"$onednn/include" -L"$onednn/lib" \
            -Wl,-rpath,"$onednn/lib" -ldnnl -o "$CONVMARK_CONV_FOLDER/libconv_onednn.so"
    fi
}

# compare COMMAND.py [OPTION...]: reads the options before anything is built.
compare() {
    local script=$1
    shift
    case " $* " in *" --help "* | *" -h "*) exec python3 "$PEERS/$script" --help ;; esac
    python3 "$PEERS/$script" --dry-run "$@" >/dev/null
    case " $* " in *" --dry-run "*) exec python3 "$PEERS/$script" "$@" ;; esac
    need_build
    build_conv
    exec python3 "$PEERS/$script" "$@"
}

wrong_usage() {
    printf 'peers.sh: %s\n' "$*" >&2
    exit 2
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
setup)
    setup "$@"
    ;;
speed)
    compare speed.py "$@"
    ;;
check)
    compare check.py "$@"
    ;;
golden)
    need_torch
    need_build
    # Two OpenMP runtimes in one process: idle threads of one must not spin on the other's CPUs.
    export OMP_WAIT_POLICY=passive
    "$PYTHON" "$PEERS/parity.py" golden "$ROOT/tests/oracles/pytorch_golden.json" "$@"
    ;;
test)
    need_build
    exec python3 "$ROOT/tests/core/test_parity.py" "$@"
    ;;
help | --help | -h)
    usage
    ;;
*)
    wrong_usage "unknown command \"$command\"; scripts/peers.sh help lists them"
    ;;
esac
