"""The telephony host's side of recvault: seal at once, keep in a spool, upload until the archive has it.

Invariants of the package: no plaintext and no archive secret is written on this host; a recording is deleted here
only when its sealed copy is durable, and the sealed copy only when a receipt with the same SHA-256 and length came
back. Messages, logs and file names of the spool carry no personal data; a recording's own name can hold a
telephone number, so it is never repeated.

``submit`` and what it imports start fast: standard library and ``recvault.sealing.edge``. Only the agent and
``enrol`` load an HTTP client. ``cli.main(argv)`` is the way in.
"""

from __future__ import annotations
