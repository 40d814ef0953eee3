# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What the steps share. Sourced by a step that stands in the repository's root.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/matrixops-synapse-s3
mkdir -p "$cache"

# fingerprint WORD... : what was given, and the content of standard input, in 12 hexadecimal digits.
fingerprint() {
    { printf '%s\n' "$@"; cat; } | sha256sum | cut -c1-12
}

# is_current NAME FINGERPRINT : the step NAME was finished with these inputs.
is_current() {
    [ "$(cat "$cache/stamps/$1" 2>/dev/null)" = "$2" ]
}

# finished NAME FINGERPRINT
finished() {
    mkdir -p "$cache/stamps"
    printf '%s\n' "$2" > "$cache/stamps/$1"
}
