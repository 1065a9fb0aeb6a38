"""Makes calls through the PBX, and keeps what is needed to judge them afterwards.

Every recording is linked while Asterisk writes it: the hook removes its own name of it, the link stays.
Leaves the telephones to phones.py and the judgement to check.py.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from tests.asterisk.phones import PBX, Phone, RawCaller, Speech, baresip, speak
from tests.asterisk.telephony import CALLS, TelephonyHost

AGENT = "7001"
SECONDS = 9  # length of an answered call
CUSTOMER_SAYS = (
    "Hei, täällä soittaa Matti Virtanen. Laskuni numero on seitsemän.",
    "Hyvää päivää, pakettini ei ole vieläkään saapunut Ouluun.",
    "Moi, unohdin salasanani enkä pääse asiakastilille.",
    "Nettiyhteys pätkii joka ilta kello kahdeksan jälkeen.",
)
AGENT_SAYS = (
    "Asiakaspalvelu, Liisa Korhonen puhelimessa.",
    "Kiitos soitosta. Tarkistan tiedot, pieni hetki.",
    "Selvä, lähetän teille uuden linkin tekstiviestillä.",
)


def number_of(n: int) -> str:
    """The number that the n-th caller calls from, counted from 1."""
    return f"+35840123{4500 + n}"


def eventually(holds: Callable[[], bool], otherwise: str, *, seconds: float = 20.0) -> None:
    """Wait until `holds()`; AssertionError with the words of `otherwise` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise)
        time.sleep(0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call as it was meant. Times in seconds since 1970; `number` is None where none was sent."""

    number: str | None
    name: str  # a piece of the name that the caller sent, or nothing
    queue: str | None
    customer: Speech
    agent: Speech | None
    seconds: float
    began: float
    ended: float
    recording: Path


class Witness(threading.Thread):
    """Links every recording while it is being made, so that what the hook removes can still be compared."""

    def __init__(self, *, calls: Path, kept: Path) -> None:
        super().__init__(daemon=True)
        self._calls, self._kept = calls, kept
        kept.mkdir(mode=0o700)

    @override
    def run(self) -> None:
        """Look every 20 ms, until the program ends."""
        while True:
            for name in self.recordings(self._calls) - self.recordings(self._kept):
                os.link(self._calls / name, self._kept / name)
            time.sleep(0.02)

    @staticmethod
    def recordings(directory: Path) -> set[str]:
        """Names of the recordings there."""
        return {file.name for file in directory.iterdir() if file.suffix != ".call"}

    def seen(self) -> set[str]:
        """Names of all recordings so far."""
        return self.recordings(self._kept)

    def new(self, before: set[str]) -> Path:
        """The one recording made since."""
        (name,) = self.seen() - before
        return self._kept / name


class Exchange:
    """Makes calls, one after the other, through the PBX."""

    def __init__(self, *, host: TelephonyHost, work: Path) -> None:
        self._work = work / "phones"
        self._work.mkdir()
        self._made = 0
        self.host = host
        self.calls = host.root / CALLS
        self.witness = Witness(calls=self.calls, kept=host.root / "var/evidence")
        self.witness.start()

    def _voices(self) -> tuple[Speech, Speech]:
        self._made += 1
        n, home = self._made, self._work
        customer = speak(
            text=CUSTOMER_SAYS[n % len(CUSTOMER_SAYS)],
            voice=f"fi+m{n % 5 + 1}",
            delay=0.3,
            length=SECONDS,
            into=home / f"customer-{n}",
        )
        agent = speak(
            text=AGENT_SAYS[n % len(AGENT_SAYS)],
            voice=f"fi+f{n % 4 + 1}",
            delay=4.9,
            length=SECONDS,
            into=home / f"agent-{n}",
        )
        return customer, agent

    @contextmanager
    def _agent(self, speech: Speech, *, answers: bool = True) -> Iterator[Phone]:
        home = self._work / f"call-{self._made}-agent"
        with baresip(
            home,
            user=AGENT,
            port=15072,
            rtp="12000-12099",
            speech=speech,
            answers=answers,
            seconds=SECONDS + 10,
        ) as phone:
            time.sleep(1)
            yield phone

    def call(self, digit: str, *, answers: bool = True) -> Call:
        """From one baresip to another; `digit` chooses the recording's format."""
        customer, agent = self._voices()
        number, before = number_of(self._made), self.witness.seen()
        seconds = SECONDS if answers else 3
        with self._agent(agent, answers=answers):
            began = time.time()
            with baresip(
                self._work / f"call-{self._made}",
                user=number,
                port=15051,
                rtp="12100-12199",
                speech=customer,
                answers=False,
                seconds=seconds,
                dial=f"sip:{digit}{100 + self._made}@{PBX[0]}:{PBX[1]}",
            ) as phone:
                phone.process.wait(timeout=SECONDS + 10)
            ended = time.time()
        if phone.established != answers:
            raise AssertionError(f"call {self._made}:\n{phone.log.read_text(errors='replace')[-3000:]}")
        return Call(
            number=number,
            name="",
            queue="service" if digit == "1" else None,
            customer=customer,
            agent=agent if answers else None,
            seconds=seconds,
            began=began,
            ended=ended,
            recording=self.witness.new(before),
        )

    def raw_call(self, sender: bytes, *, dialled: str, number: str | None = None, name: str = "") -> Call | None:
        """From a caller whose From header is `sender`; None when recvault's snippet was not what recorded."""
        customer, agent = self._voices()
        before, seconds = self.witness.seen(), SECONDS
        with self._agent(agent):
            began = time.time()
            status = RawCaller(sender=sender, number=dialled).call(customer, seconds=seconds)
            ended = time.time()
        if status != 200:
            raise AssertionError(f"a call from {sender!r} was refused with {status}")
        if self.witness.seen() == before:
            return None
        return Call(
            number=number,
            name=name,
            queue="service" if dialled[0] == "1" else None,
            customer=customer,
            agent=agent,
            seconds=seconds,
            began=began,
            ended=ended,
            recording=self.witness.new(before),
        )

    def settle(self) -> None:
        """Wait until the hook has taken everything."""
        try:
            eventually(lambda: not any(self.calls.iterdir()), "the hook is not done")
        except AssertionError:
            left = sorted(file.name for file in self.calls.iterdir())
            raise AssertionError(f"the hook left {left}:\n{self.host.log()[-3000:]}") from None
