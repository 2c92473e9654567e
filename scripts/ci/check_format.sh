#!/usr/bin/env bash
# Checks that every C source is as clang-format 14 writes it; --fix rewrites those that are not.
set -euo pipefail
CDPATH= cd -- "$(dirname -- "$0")/../.."

formatter=
for candidate in clang-format-14 clang-format; do
    if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
        formatter=$candidate
        break
    fi
done
if [ -z "$formatter" ]; then
    echo "check_format.sh: needs clang-format 14 (Debian: clang-format-14)" >&2
    exit 1
fi

case ${1:-} in
'') how=(--dry-run --Werror) ;;
--fix) how=(-i) ;;
*) echo "usage: scripts/ci/check_format.sh [--fix]" >&2 && exit 2 ;;
esac
folders=()
for folder in include kernels src bench examples tests scripts; do
    [ -d "$folder" ] && folders+=("$folder")
done
find "${folders[@]}" \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 |
    xargs -0 "$formatter" --style=file "${how[@]}"
