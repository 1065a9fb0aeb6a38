#!/bin/bash
# Builds the telephony host of `make test-asterisk`: Asterisk 22 and its own Python in a Debian chroot.
#
# Debian 12 and its backports have no Asterisk, testing has. The chroot lies outside the repository
# (RECVAULT_ASTERISK_CHROOT, default in the user's cache), about 800 MB, built once in about 3 minutes.
# It is built beside its final name and renamed when complete, so a half-built one is never used.
# Into it goes a Python environment of its own for the hook, from the project's lock, wheels only: as on a real host.
# The mirror is the one this machine already uses, or RECVAULT_DEBIAN_MIRROR; no file here names a host.
set -euo pipefail

suite=${RECVAULT_ASTERISK_SUITE:-forky}
chroot=${RECVAULT_ASTERISK_CHROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/recvault/asterisk-chroot}
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${RECVAULT_PYTHON:-$root/.venv/bin/python}
lock=$root/requirements.lock
packages="asterisk asterisk-modules python3 python3-venv"
# program -> Debian package
needs="debootstrap:debootstrap baresip:baresip-core espeak-ng:espeak-ng sox:sox unshare:util-linux flock:util-linux ip:iproute2"

die() { printf 'setup-chroot: %s\n' "$*" >&2; exit 2; }

missing() {
  local pair
  for pair in $needs; do command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"; done | sort -u
}

install_missing() {
  local lack; lack=$(missing | tr '\n' ' ')
  [ -z "$lack" ] && return 0
  command -v apt-get >/dev/null || die "missing here: $lack- install them and run this again"
  echo "installing: $lack"
  # shellcheck disable=SC2086  # a list of package names
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $lack; } >&2 ||
    die "could not install: $lack- install them by hand and run this again"
}

mirror() {
  local site
  site=${RECVAULT_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m1 '/debian/*$' || true)}
  [ -n "$site" ] || die "no Debian mirror in this machine's apt sources: set RECVAULT_DEBIAN_MIRROR to one"
  printf '%s\n' "$site"
}

apt_in() { # directory: signatures are always verified; only an old mirror's date is forgiven, and said
  local dir=$1; shift
  chroot "$dir" apt-get -qq "$@" update 2>"$dir/var/log/apt-update.err" && return 0
  grep -q 'not valid anymore\|is expired' "$dir/var/log/apt-update.err" || { cat "$dir/var/log/apt-update.err" >&2; return 1; }
  echo "the mirror's index of $suite is past its date: using it all the same (its signature is good)"
  chroot "$dir" apt-get -qq -o Acquire::Check-Valid-Until=false update
}

build() {
  local part=$chroot.part site; site=$(mirror)
  rm -rf --one-file-system "$part"; mkdir -p "$part"
  echo "building the Asterisk chroot (once, about 3 minutes)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$part" "$site" \
    /usr/share/debootstrap/scripts/sid >"$part.log" 2>&1 || { tail -20 "$part.log" >&2; die "debootstrap failed, see $part.log"; }
  printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"; chmod 755 "$part/usr/sbin/policy-rc.d"
  apt_in "$part"
  # shellcheck disable=SC2086  # a list of package names
  chroot "$part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
    apt-get install -y -qq --no-install-recommends $packages >>"$part.log" 2>&1 ||
    { tail -20 "$part.log" >&2; die "installing Asterisk failed, see $part.log"; }
  chroot "$part" apt-get clean
  chroot "$part" asterisk -V >"$part/etc/recvault-test-chroot"
  rm -rf --one-file-system "$chroot"; mv "$part" "$chroot"; rm -f "$part.log"
}

fill() { # the hook's Python environment, made anew when the lock or the chroot's Python changes
  local version mark wheels=$chroot.wheels
  version=$(chroot "$chroot" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  mark="$version $(sha256sum <"$lock")"
  [ "$(cat "$chroot/opt/recvault/made-from" 2>/dev/null)" = "$mark" ] && return 0
  [ -x "$python" ] || die "no $python to fetch the hook's wheels with: run make once, or set RECVAULT_PYTHON"
  echo "installing the hook's libraries into the chroot (Python $version)"
  rm -rf "$wheels" "$chroot/opt/recvault" "$chroot/opt/wheels"
  "$python" -m pip download -q --require-hashes --only-binary :all: --python-version "$version" -r "$lock" \
    -d "$wheels" >"$chroot.pip.log" 2>&1 || { tail -20 "$chroot.pip.log" >&2; die "no wheels of the lock for Python $version"; }
  cp -r "$wheels" "$chroot/opt/wheels"; cp "$lock" "$chroot/opt/wheels/"
  chroot "$chroot" python3 -m venv /opt/recvault
  chroot "$chroot" /opt/recvault/bin/python -m pip install -q --no-index --find-links /opt/wheels --require-hashes \
    -r /opt/wheels/requirements.lock
  rm -rf "$wheels" "$chroot/opt/wheels" "$chroot.pip.log"
  printf '%s\n' "$mark" >"$chroot/opt/recvault/made-from"
}

if [ "$(id -u)" != 0 ]; then
  lack=$(missing | tr '\n' ' ')
  die "building a chroot and running Asterisk in it needs root${lack:+; also missing here: $lack}"
fi
install_missing
mkdir -p "$(dirname "$chroot")"
exec 9>"$chroot.lock"; flock 9 # two runs at once build it once
[ -f "$chroot/etc/recvault-test-chroot" ] || build
fill
printf '%s with Python %s\n' "$(cat "$chroot/etc/recvault-test-chroot")" \
  "$(chroot "$chroot" python3 -c 'import platform; print(platform.python_version())')"
