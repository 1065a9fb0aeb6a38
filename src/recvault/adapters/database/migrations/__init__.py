"""The schema's history; run by :mod:`recvault.adapters.database.migration`, never by hand."""

from __future__ import annotations
