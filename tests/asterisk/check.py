"""Compares the archive with the recordings, and the recordings with what was said.

Leaves to sound.py how alike is measured, and to archive.py how the archive is asked.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from tests.asterisk import sound
from tests.asterisk.archive import Archive, customer_of
from tests.asterisk.calls import Call
from tests.asterisk.phones import Speech

CLOCK = 3.0  # seconds that a time in the archive may differ from when a telephone acted
MEDIA_TYPES = {".wav": "audio/wav", ".ogg": "audio/ogg", ".alaw": "audio/pcma"}
# Likeness of speech and recording: above 0.93 and 0.99 on a quiet machine; where the phones themselves starve and drop
# packets 0.87 and 0.77 were seen. Another call's speech reaches 0.37 at most. The bytes are compared exactly, elsewhere.
RHYTHM, WAVEFORM = 0.7, 0.6
STRANGER = 0.6  # likeness that another call's speech must stay below; 0.4 was seen


def compare(archive: Archive, calls: list[Call]) -> None:
    """Every call is in the archive once, whole and with its particulars; nothing else is there."""
    stored: dict[str, dict[str, Any]] = {}
    listed = 0
    for item in archive.search(channel="call"):
        listed += 1
        content = _content(archive, item["id"])
        stored[hashlib.sha256(content).hexdigest()] = item
    if listed != len(calls):
        raise AssertionError(f"{len(calls)} calls were recorded, the archive lists {listed}")
    for call in calls:
        digest = hashlib.sha256(call.recording.read_bytes()).hexdigest()
        if digest not in stored:
            raise AssertionError(f"{call.recording.name} is not in the archive as it was recorded")
        item = stored.pop(digest)
        _particulars(archive, call, item)
        _said(call)
    stranger = _match(calls[1].customer, calls[0])
    if max(stranger.rhythm, stranger.waveform) > STRANGER:
        raise AssertionError(f"the comparison of sound finds what was never said: {stranger}")
    if stored:
        raise AssertionError(f"in the archive, but never recorded: {sorted(stored)}")


def _content(archive: Archive, communication: str) -> bytes:
    grant = archive.open(communication)
    whole = archive.play(grant)
    if whole.status != 200:
        raise AssertionError(f"playing {communication}: {whole.status} {whole.body[:500]!r}")
    part = archive.play(grant, byte_range="bytes=1000-1999")
    if part.status != 206 or part.body != whole.body[1000:2000]:
        raise AssertionError(
            f"a range of {communication}: {part.status}, {len(part.body)} bytes, not those of the whole"
        )
    return whole.body


def _particulars(archive: Archive, call: Call, item: dict[str, Any]) -> None:
    began = datetime.fromisoformat(item["started_at"]).timestamp()
    ended = datetime.fromisoformat(item["ended_at"]).timestamp()
    if abs(began - call.began) > CLOCK or abs(ended - call.ended) > CLOCK:
        raise AssertionError(f"{call.recording.name}: {began} to {ended}, was {call.began} to {call.ended}")
    kind = MEDIA_TYPES[call.recording.suffix]
    seen = (item["direction"], item["queue"], item["media_type"].partition(";")[0], item["agent_id"] is not None)
    if seen != ("inbound", call.queue, kind, True):
        raise AssertionError(
            f"{call.recording.name}: {seen}, was in queue {call.queue}, {kind}, taken by our one agent"
        )
    if call.number is not None:
        found = [i["id"] for i in archive.search(customer_number=customer_of(call.number))]
        if found != [item["id"]]:
            raise AssertionError(f"{call.recording.name} by its customer: {found}, not {item['id']}")
    name = archive.view(item["id"])["fields"]["remote"].get("name", "")
    if call.name not in name:
        raise AssertionError(f"{call.recording.name}: the caller's name came as {name!r}, not {call.name!r}")


def _match(speech: Speech, call: Call) -> sound.Match:
    return sound.find(sound.decode(speech.wav), sound.decode(call.recording))


def _said(call: Call) -> None:
    length = len(sound.decode(call.recording)) / sound.RATE
    if abs(length - call.seconds) > 1.0:
        raise AssertionError(f"{call.recording.name} lasts {length:.1f} s, the call {call.seconds:.1f} s")
    for speech in filter(None, (call.customer, call.agent)):
        match = _match(speech, call)
        if match.rhythm < RHYTHM or match.waveform < WAVEFORM:
            raise AssertionError(f"{call.recording.name} does not say '{speech.text}': {match}")
