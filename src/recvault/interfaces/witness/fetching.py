"""Where a witness gets checkpoints when nobody sends them: a directory that the archive writes, or the archive's own address.

Keeps: each one is added as if it had been sent, so that what is fetched is believed no more than that.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from recvault.domain.checkpoints import NOTE_LIMIT
from recvault.domain.errors import InvalidInput, Unavailable
from recvault.domain.ports.publication import Addition
from recvault.interfaces.witness.state import WitnessState, write_whole
from recvault.interfaces.witness.watching import Watched, Witness, parse_addition

TIMEOUT_SECONDS = 20

_NAME = re.compile(r"([0-9]+)-([0-9]{12})-([0-9]{12})")


def from_directory(witness: Witness, state: WitnessState, directory: Path, *, out: Path | None) -> list[Watched]:
    """Signs what is new, in its order; the notes with the witness's signature go to ``out``."""
    done: list[Watched] = []
    for file in _files(directory):
        addition = parse_addition(_read(file))
        last = state.last(state.log(addition.checkpoint.origin))
        if last is not None and addition.checkpoint.size <= last.size and addition.checkpoint.root == last.root:
            continue
        if last is not None and addition.checkpoint.size < last.size and addition.old < last.size:
            continue  # from before what was seen; the newest file is always looked at
        done.append(witness.add(addition))
        _give(done[-1], out)
    _look_at_newest(witness, state, directory)
    return done


def from_archive(witness: Witness, state: WitnessState, address: str, *, out: Path | None) -> list[Watched]:
    """Asks the archive for what continues the last one seen of the log it serves."""
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, base_url=address) as client:
        newest = parse_addition(_asked(client, 0))
        last = state.last(state.log(newest.checkpoint.origin))
        addition: Addition = newest if last is None else parse_addition(_asked(client, last.size))
    if last is not None and (addition.checkpoint.size, addition.checkpoint.root) == (last.size, last.root):
        return []
    done = [witness.add(addition)]
    _give(done[0], out)
    return done


def _asked(client: httpx.Client, old: int) -> str:
    try:
        answer = client.get("/v1/log/addition", params={"old": old})
    except httpx.HTTPError as fault:
        raise Unavailable(f"the archive cannot be reached ({type(fault).__name__}); try again") from None
    if answer.status_code == httpx.codes.CONFLICT:  # it has fewer entries than were seen: its newest tells the rest
        answer = client.get("/v1/log/addition", params={"old": 0})
    if not answer.is_success or len(answer.content) > NOTE_LIMIT:
        raise Unavailable(f"the archive answered {answer.status_code} instead of a checkpoint; see what stands there")
    return answer.text


def _files(directory: Path) -> list[Path]:
    try:
        found = [(match, file) for file in directory.iterdir() if (match := _NAME.fullmatch(file.name))]
    except OSError as fault:
        raise InvalidInput(
            f"{directory} cannot be read: {fault.strerror}; name the directory of checkpoints"
        ) from fault
    return [file for _, file in sorted(found, key=lambda pair: (int(pair[0][1]), int(pair[0][2]), int(pair[0][3])))]


def _look_at_newest(witness: Witness, state: WitnessState, directory: Path) -> None:
    """What the archive shows as its newest must not be less than what was seen: a rollback adds no file that tells."""
    file = directory / "checkpoint"
    if file.exists():
        newest = parse_addition(f"old 0\n\n{_read(file)}")
        last = state.last(state.log(newest.checkpoint.origin))
        if last is not None and newest.checkpoint.size <= last.size:
            old = newest.checkpoint.size
            witness.add(Addition(old=old, proof=(), checkpoint=newest.checkpoint))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(NOTE_LIMIT + 1)
        if len(data) <= NOTE_LIMIT:
            return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise InvalidInput(f"{file} cannot be read; it is no checkpoint that an archive wrote") from fault
    raise InvalidInput(f"{file} is too long to be a checkpoint")


def _give(watched: Watched, out: Path | None) -> None:
    if out is not None:
        epoch = watched.checkpoint.origin.rpartition("/")[2]
        name = f"{epoch}-{watched.checkpoint.size:012d}.{watched.signature.key_hash.hex()}"
        write_whole(out / name, watched.checkpoint.with_signatures(watched.signature).note().encode(), mode=0o644)
