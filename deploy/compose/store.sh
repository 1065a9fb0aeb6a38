#!/bin/bash
# Runs the Ceph of Dockerfile.store until told to stop, and makes the archive's bucket.
# Reads the two keys from $CREDENTIALS (access-key, secret-key); the store answers on 127.0.0.1:$CEPH_PORT.
set -euo pipefail
here=${STORE_SCRIPTS:-$(dirname "$0")}
credentials=${CREDENTIALS:-/run/credentials}
bucket=${BUCKET:-recvault}
export CEPH_DIR=${CEPH_DIR:-/var/lib/store} CEPH_PORT=${CEPH_PORT:-7480} CEPH_REGION=${CEPH_REGION:-fi-hel1}
CEPH_ACCESS_KEY=$(cat "$credentials/access-key")
CEPH_SECRET_KEY=$(cat "$credentials/secret-key")
export CEPH_ACCESS_KEY CEPH_SECRET_KEY

told=
trap 'told=yes' TERM INT
"$here/ceph-up.sh" >/dev/null # what it prints holds the keys
# The keys go in by a pipe: a process list shows arguments.
printf 'user = "%s:%s"\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" |
    curl -fsS -K - --aws-sigv4 "aws:amz:$CEPH_REGION:s3" -X PUT -o /dev/null \
        -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "http://127.0.0.1:$CEPH_PORT/$bucket"
echo "store ready"
while [ -z "$told" ]; do
    kill -0 "$(cat "$CEPH_DIR/run/rgw.pid")" || { echo "the gateway has ended; see $CEPH_DIR/log" >&2; break; }
    sleep 1
done
"$here/ceph-down.sh" >/dev/null
[ -n "$told" ]
