"""Tells whether a file system lies on another machine (Linux, proc(5): ``/proc/self/mountinfo``)."""

from __future__ import annotations

import os
from pathlib import Path

# fmt: off
_NETWORK = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph-fuse", "fuse.davfs2", "fuse.glusterfs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "smb3", "smbfs",
))
# fmt: on


def network_source(device: int) -> str | None:
    """``type:source`` of the network file system with this ``st_dev``; None for a local one.

    A device that the table does not name counts as local: containers show only a part of the mounts.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        table = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        if left.split(" ")[2] == wanted:
            kind, source = right.split(" ")[:2]
            return f"{kind}:{source}" if kind in _NETWORK else None
    return None
