#!/bin/sh
# Once, as root: secrets, and directories that belong to those who use them. What exists stays as it is.
# 10001 is recvault, 999 is postgres in its image. ROOT stands before every path, for trying it elsewhere.
set -eu
umask 077
root=${ROOT:-}

directory() { # OWNER PATH
    mkdir -p "$root$2"
    chown "$1" "$root$2"
    chmod 700 "$root$2"
}

secret() { # OWNER PATH, the text on standard input
    [ ! -e "$root$2" ] || return 0
    cat >"$root$2.new"
    chown "$1" "$root$2.new"
    chmod 400 "$root$2.new"
    mv "$root$2.new" "$root$2"
}

word() { od -An -N20 -tx1 /dev/urandom | tr -d ' \n'; }

for path in /var/lib/recvault /var/lib/recvault-keyring /var/lib/recvault-root /mnt/hall-b; do
    directory 10001:10001 "$path"
done
for owner in recvault:10001 database:999 store:0; do
    directory "${owner#*:}:${owner#*:}" "/credentials/${owner%:*}"
done
# Made once for the one who keeps it, then copied for the one who shows it.
word | secret 10001 /credentials/recvault/database-password
secret 999 /credentials/database/password <"$root/credentials/recvault/database-password"
word | secret 10001 /credentials/recvault/store-access-key
secret 0 /credentials/store/access-key <"$root/credentials/recvault/store-access-key"
word | secret 10001 /credentials/recvault/store-secret-key
secret 0 /credentials/store/secret-key <"$root/credentials/recvault/store-secret-key"
echo "secrets and directories are in place"
