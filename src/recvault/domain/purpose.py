"""The purposes for which content may be opened, and which of them keep a communication in the archive.

GDPR 5(1)(b): every access names one of these. Only the purposes that the privacy notice gives for storing
have a clock of their own; a data subject's request and a disclosure to an authority open what is there, and
keep nothing.
"""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """Why somebody opens content."""

    VERIFICATION = "verification"
    TRAINING = "training"
    REQUEST = "request"
    AUTHORITY = "authority"


# In the order in which they are listed everywhere.
PURPOSES_WITH_RETENTION = (Purpose.VERIFICATION, Purpose.TRAINING)
