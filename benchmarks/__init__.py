"""Throughput of the archive on this machine: ``python -m benchmarks`` (``make bench``; ``QUICK=1`` ends within 5 minutes).

Keeps: every figure is a ratio to the same bytes through the bare ``minio`` client, or a plain write and fsync, on the same
store in the same run, taken in turns (ours, bare, ours, bare); medians are told, and the spread beside them. The archive
is the real program in a process of its own. Whether a figure is good enough is told, never asserted: tests do not time.
"""

from __future__ import annotations
