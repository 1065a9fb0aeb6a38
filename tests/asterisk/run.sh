#!/bin/bash
# make test-asterisk: real calls through a real Asterisk 22, the shipped dialplan and hook, into a real archive.
#
#   tests/asterisk/run.sh [CALLS]      ordinary calls, default 3: one of each format
#
# Root only: Asterisk runs in a chroot. Everything runs in namespaces of its own: a network that has nothing but loopback,
# so nothing here can be reached or call out; mounts and processes that end with this script.
# RECVAULT_ASTERISK_KEEP=1 keeps the working directory, for a look at the logs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
python=${RECVAULT_PYTHON:-$root/.venv/bin/python}
chroot=${RECVAULT_ASTERISK_CHROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/recvault/asterisk-chroot}
calls=${1:-3}

[ "$(id -u)" = 0 ] || exec "$here/setup-chroot.sh" # which says what is missing, root first
if [ ! -x "$python" ]; then echo "no $python: run 'make test-asterisk', which makes it, or set RECVAULT_PYTHON" >&2; exit 2; fi
"$here/setup-chroot.sh"
unshare --net --mount --pid --fork --mount-proc true ||
  { echo "no namespaces can be made here: run this as root on a machine, or in a container with CAP_SYS_ADMIN" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/recvault-asterisk.XXXXXX")
finish() {
  if [ -n "${RECVAULT_ASTERISK_KEEP:-}" ]; then echo "kept: $work"; else rm -rf --one-file-system "$work"; fi
}
trap finish EXIT

"$python" -m pip wheel -q --no-deps --no-build-isolation --no-index -w "$work/wheel" "$root"
cd "$root"
# $0 and "$@" of the inner shell: the journey and its arguments.
unshare --net --mount --pid --fork --kill-child --mount-proc sh -c 'ip link set lo up && exec "$0" "$@"' \
  "$python" -m tests.asterisk.journey "$calls" --base "$chroot" --work "$work" \
  --program "$(dirname "$python")/recvault" --wheel "$(echo "$work"/wheel/recvault-*.whl)"
echo "Asterisk: everything holds"
