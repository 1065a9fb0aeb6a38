"""One module per revision, named by its order."""

from __future__ import annotations
