#!/usr/bin/env bash
# Downloads Fashion-MNIST from its official address into the folder where convmark looks for it.
# Can be run again: files that are there and right are kept, others are replaced. A file appears
# under its name only when it is whole and its content checked (SHA-256 of the decompressed bytes,
# as the program checks it), so the plain http of the address does no harm.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ADDRESS=${CONVMARK_DATA_URL:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com}
MAX_BYTES=50000000 # of a file, as it is sent and decompressed; the largest has 47,040,016
FILES='
train-images-idx3-ubyte c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
train-labels-idx1-ubyte bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
t10k-images-idx3-ubyte  5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
t10k-labels-idx1-ubyte  0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'
OTHER_WAYS='or install the Debian package dataset-fashion-mnist, or copy the four files there'

usage() {
    cat <<END
usage: scripts/get-data.sh [FOLDER]
Downloads Fashion-MNIST (31 MB) into FOLDER, by default the cache folder where convmark looks for
it: \${XDG_CACHE_HOME:-~/.cache}/convmark/fashion-mnist. \$CONVMARK_DATA_URL names a mirror.
END
}

cache_folder() {
    case ${XDG_CACHE_HOME:-} in
    /*) printf '%s\n' "$XDG_CACHE_HOME/convmark/fashion-mnist" ;;
    *) printf '%s\n' "${HOME:?is not set: name the folder}/.cache/convmark/fashion-mnist" ;;
    esac
}

# Whether gzip file $1 decompresses without complaint to bytes with SHA-256 $2.
is_right() {
    local sum
    [ -f "$1" ] && sum=$(gzip -dc <"$1" 2>/dev/null | head -c "$MAX_BYTES" | sha256sum) &&
        [ "${sum%% *}" = "$2" ]
}

# download ADDRESS FILE. The limit on the file's size holds where the server does not say it.
download() (
    ulimit -f $((MAX_BYTES / 1024))
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --proto '=http,https' --retry 2 \
            --connect-timeout 20 --speed-time 30 --speed-limit 1000 --max-filesize "$MAX_BYTES" \
            --output "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --no-verbose --tries=3 --timeout=30 --output-document="$2" "$1"
    else
        echo "needs curl or wget: install one of them" >&2
        return 1
    fi
)

# get NAME SHA256
get() {
    local file=$FOLDER/$1.gz
    if is_right "$file" "$2"; then
        say "already there: $file"
        return 0
    fi
    TEMPORARY=$(mktemp "$FOLDER/.$1.XXXXXX") || fail "cannot write in $FOLDER: name another folder"
    download "$ADDRESS/$1.gz" "$TEMPORARY" ||
        fail "cannot download $ADDRESS/$1.gz: check the network and run this again," \
            "$OTHER_WAYS: $FOLDER"
    is_right "$TEMPORARY" "$2" ||
        fail "$ADDRESS/$1.gz: what came is damaged or not Fashion-MNIST: run this again," \
            "$OTHER_WAYS: $FOLDER"
    chmod =rw "$TEMPORARY" # less what the umask takes away
    sync "$TEMPORARY"
    mv -fT "$TEMPORARY" "$file" || fail "cannot write $file"
    say "downloaded: $file"
}

case ${1:-} in
-h | --help) usage && exit 0 ;;
-*) usage >&2 && exit 2 ;;
esac
if [ $# -gt 1 ]; then
    usage >&2
    exit 2
fi
FOLDER=${1:-$(cache_folder)}
TEMPORARY=
trap '[ -z "$TEMPORARY" ] || rm -f "$TEMPORARY"' EXIT
mkdir -p "$FOLDER" || fail "cannot make the folder $FOLDER: name another one"
while read -r name sha256; do
    [ -z "$name" ] || get "$name" "$sha256"
done <<<"$FILES"
say "Fashion-MNIST is in $FOLDER"
