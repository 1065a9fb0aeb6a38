"""Foreign formats in, domain values out: pure parsers without network, clock or storage."""

from __future__ import annotations
