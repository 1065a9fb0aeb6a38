"""What several suites share: an archive on in-memory parts, and short ways to use it."""

from __future__ import annotations
