"""Writes the example of docs/certificate anew: both stages of one communication among five, made by an archive in memory.

Run it from the root of the repository when the form of certificates changes, then put the leaf's id into docs/CERTIFICATE.md.
"""

from __future__ import annotations

from pathlib import Path

from recvault.domain.destruction import Stage
from recvault.interfaces.cli.evidence import public_pem
from tests.support.archives import configuration, make_world, memory_parts
from tests.support.certificates import certificate_of

DIRECTORY = Path(__file__).parents[1] / "docs" / "certificate"


def main() -> None:
    """Stores, waits, destroys, writes the files and tells the id."""
    parts = memory_parts()
    parts.config = configuration(CONTROLLER__NAME="Esimerkki Oy", CONTROLLER__BUSINESS_ID="1234567-1")
    world = make_world(parts=parts)
    stored = sorted(world.store(f"call-{number}").id for number in range(5))
    world.later(days=181, hours=13)
    for wait_seconds in (24 * 3600, 61, 0):
        world.archive.audit.sequence()
        world.archive.checkpoints.publish()
        world.archive.purge.run("worker-1")
        world.later(seconds=wait_seconds)
    for stage in (Stage.INACCESSIBLE, Stage.COMPLETE):
        file = certificate_of(world.archive, stored[2], stage)
        (DIRECTORY / f"{stage.value}.json").write_text(file, encoding="utf-8")
    (DIRECTORY / "public-key.pem").write_bytes(public_pem(world.archive.certificates.public_key()))
    print(stored[2])


if __name__ == "__main__":
    main()
