"""The object store on anything that speaks S3; tested on Ceph RGW. See ``store`` for what it keeps."""

from __future__ import annotations

from recvault.adapters.s3.settings import S3Settings
from recvault.adapters.s3.store import S3ObjectStore

__all__ = ["S3ObjectStore", "S3Settings"]
