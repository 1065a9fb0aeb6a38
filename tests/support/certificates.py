"""A communication's certificates as files, and what verifying them says."""

from __future__ import annotations

from recvault.bootstrap import Archive
from recvault.domain.destruction import Stage
from recvault.services.certificate_checks import verify_certificate


def certificate_of(archive: Archive, communication_id: str, stage: Stage = Stage.INACCESSIBLE) -> str:
    """The file; KeyError when it is not issued."""
    with archive.database.read() as unit:
        return archive.certificates.files(unit, unit.destructions.get(communication_id))[stage]


def verified(archive: Archive, communication_id: str, stage: Stage = Stage.INACCESSIBLE) -> dict[str, object]:
    """What the certificate says, verified from its file and the public key alone."""
    file = certificate_of(archive, communication_id, stage)
    return verify_certificate(file.encode(), archive.certificates.public_key())
