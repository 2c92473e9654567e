#!/usr/bin/env bash
# PyTorch as convmark's peer: the same networks, for parity and for speed.
#
# usage: scripts/peers.sh COMMAND [OPTION...]
#   setup           a Python environment with PyTorch, in the cache folder; repeatable
#   speed           training and inference images/s of both, in turn (speed --help: options)
#   golden          computes tests/pytorch/golden.json again (after a change of initial values or
#                   of the numeric contract); some minutes. --variants ID,...: these rows only
#   test            the parity test, with PyTorch itself where setup was done
#
# The environment is $XDG_CACHE_HOME/convmark/peers (or ~/.cache/...). pip takes the packages from
# where it is configured to. $CONVMARK_BUILD is the build folder: build/release if it is not set.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PEERS=$ROOT/scripts/peers
VENV=${XDG_CACHE_HOME:-$HOME/.cache}/convmark/peers
PYTHON=$VENV/bin/python
BUILD=${CONVMARK_BUILD:-$ROOT/build/release}
export CONVMARK_LIBRARY=$BUILD/src/libconvmark.so CONVMARK=$BUILD/src/convmark
export PYTHONDONTWRITEBYTECODE=1

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

installed() {
    cmp -s "$PEERS/requirements.txt" "$VENV/installed.txt"
}

setup() {
    if installed; then
        say "PyTorch's environment is there: $VENV"
        return
    fi
    say "creating $VENV"
    python3 -m venv "$VENV" || fail "python3 -m venv failed; on Debian: apt install python3-venv"
    say "installing with pip: $(grep -v '^#' "$PEERS/requirements.txt" | tr '\n' ' ')"
    "$VENV/bin/pip" install --quiet --requirement "$PEERS/requirements.txt" ||
        fail "pip could not install the packages; check its configuration and the network"
    "$PYTHON" "$PEERS/model.py"
    cp "$PEERS/requirements.txt" "$VENV/installed.txt"
    say "done; next: scripts/peers.sh test, scripts/peers.sh speed"
}

need_torch() {
    installed || fail "PyTorch's environment is missing or old; run: scripts/peers.sh setup"
}

need_build() {
    if [ -n "${CONVMARK_BUILD:-}" ]; then
        [ -e "$CONVMARK_LIBRARY" ] || fail "no libconvmark.so in $BUILD/src; build there first"
        return
    fi
    say "building in build/release"
    build release "$BUILD"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
setup)
    setup
    ;;
speed)
    case " $* " in *" --help "* | *" -h "*) exec python3 "$PEERS/speed.py" --help ;; esac
    need_torch
    need_build
    exec "$PYTHON" "$PEERS/speed.py" "$@"
    ;;
golden)
    need_torch
    need_build
    # Two OpenMP runtimes in one process: idle threads of one must not spin on the other's CPUs.
    export OMP_WAIT_POLICY=passive
    "$PYTHON" "$PEERS/parity.py" golden "$ROOT/tests/pytorch/golden.json" "$@"
    ;;
test)
    need_build
    exec python3 "$ROOT/tests/pytorch/test_parity.py" "$@"
    ;;
help | --help | -h)
    usage
    ;;
*)
    usage >&2
    printf '\npeers.sh: unknown command "%s"\n' "$command" >&2
    exit 2
    ;;
esac
