#!/bin/sh
# Makes what the Makefile needs.
#   setup.sh venv LOCK         .venv with exactly what LOCK names, and recvault itself from this folder
#   setup.sh packages NAME...  Debian packages: as root the missing ones are installed, else the command is printed
set -eu
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    echo "$*" >&2
    exit 1
}

install_debian() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends "$@"
}

# The pip of .venv, or this machine's own working on .venv.
pip() {
    if .venv/bin/python -c 'import pip' 2>/dev/null; then
        .venv/bin/python -m pip "$@"
    else
        "$python" -m pip --python .venv/bin/python "$@"
    fi
}

make_venv() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "recvault needs Python 3.11 or later; '$python' is not that. Name another one: make PYTHON=python3.12 ..."
    if .venv/bin/python -c '' 2>/dev/null && pip --version >/dev/null 2>&1; then
        return
    fi
    rm -rf .venv
    # Debian takes ensurepip out of python3 and ships it in python3-venv.
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv .venv
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install_debian python3-venv
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip .venv
    else
        fail "Python's venv is not complete here. Install it, then run make again: apt-get install python3-venv"
    fi
}

fill_venv() {
    # Wheels only: no compiler is needed and no foreign set-up code runs.
    pip install -q --require-hashes --only-binary :all: -r "$1"
    pip install -q --no-index --no-deps --no-build-isolation -e .
}

need_packages() {
    missing=
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian: see that these are installed: $*" >&2
        return
    fi
    for name in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null || true) in
        "install ok installed") ;;
        *) missing="$missing $name" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        # shellcheck disable=SC2086  # a list of names
        install_debian $missing
        return
    fi
    echo "Missing for the whole test: apt-get install --no-install-recommends$missing" >&2
    [ -z "${CI:-}" ] || fail "With CI set nothing may be left out: install these as root, then run make again."
    echo "Going on without: the tests that need them are skipped." >&2
}

case ${1:-} in
venv)
    make_venv
    fill_venv "$2"
    ;;
packages)
    shift
    need_packages "$@"
    ;;
*) fail "usage: setup.sh venv LOCK | packages NAME..." ;;
esac
