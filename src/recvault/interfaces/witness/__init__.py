"""The witness: a small program for somebody else's machine, which sees to it that the audit log only ever grows.

It has no key of the archive and needs nothing of it but the public key of its log. What it keeps is its own key and the last
checkpoint of each log it follows; of the archive's code it uses only what reads and verifies.
"""

from __future__ import annotations
