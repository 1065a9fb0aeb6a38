"""How often somebody may try to sign in, told by counters in the database that all processes share.

Keeps: a try is counted before its secret is looked at, and taken back when it was right; refusing costs a look and no
hashing; a counter's name is a keyed hash, so that a thief of the database reads no address and no name from it, and it dies
within a day; there are never more than a bounded number of them. A device that has signed in to an account before shows a
token that only this archive can make, and is counted by itself, so that nobody from outside can keep its person out.
Left to others: the numbers (``domain.attempts``), what is tried (``services.sign_in``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from recvault.domain.attempts import FORGET, Counted, Secret, Tally, waits
from recvault.domain.audit import Act
from recvault.domain.errors import TooManyAttempts
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.audit_log import AuditLog

KEY = "sign-in/1"
"""Keyring id of the MAC key of counters' names and devices' tokens."""
ACTOR = "system:sign-in"
DEVICE_LIFE = timedelta(days=180)
"""How long a device stays known after it last signed in."""
MOST_ROWS = 50_000
"""Counters kept; beyond, those with the fewest failures go first."""

_TIDY_EVERY = timedelta(minutes=1)
_TIDY_AFTER = 1000
_IPV4_PREFIX, _IPV6_PREFIX = 24, 48
_NONCE, _STAMP, _TAG = 16, 8, 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Who tries. ``address``: the network address as the server sees it; ``device``: the token of a device that signed in
    before; ``label``: what the person is shown of the session."""

    address: str | None = None
    device: str | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """A try that was let through and counted as failed, until :meth:`Throttle.succeeded`."""

    tallies: tuple[Tally, ...]
    known_device: bool


class Throttle:
    """Lets tries through, or not."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        most_rows: int = MOST_ROWS,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._most_rows = most_rows
        self._tidied_at: datetime | None = None
        self._tries = 0

    def admit(self, secret: Secret, name: str, client: Client) -> Try:
        """Counts a try on the account of this sign-in name, which need not exist; TooManyAttempts when it is too early."""
        now = self._clock.now()
        nonce = self._known(client.device, name, now)
        blank = self._counters(secret, name, client, nonce, now)
        keys = [one.key for one in blank]
        with self._database.look() as unit:
            standing = unit.attempts.find(keys)
        if waits(standing, now):
            self._refuse(standing, now, name)
        with self._database.begin() as unit:
            standing = unit.attempts.lock(blank)
            late = waits(standing, now)
            counted = tuple(one.failed(now) for one in standing)
            if not late:
                unit.attempts.put(counted)
                unit.commit()
        if late:
            self._refuse(standing, now, name)
        self._tidy(now)
        return Try(tallies=counted, known_device=nonce is not None)

    def succeeded(self, unit: UnitOfWork, tried: Try) -> None:
        """Takes back what :meth:`admit` counted, in the caller's transaction."""
        counted = {one.key: one for one in tried.tallies}
        standing = unit.attempts.lock(tried.tallies)
        unit.attempts.put([one.succeeded(counted[one.key]) for one in standing])

    def known_device(self, name: str) -> str:
        """A token for a device that has just signed in to this account, completely."""
        nonce = self._entropy.bytes(_NONCE)
        stamp = int(self._clock.now().timestamp()).to_bytes(_STAMP)
        return base64.urlsafe_b64encode(nonce + stamp + self._tag(name, nonce + stamp)).decode().rstrip("=")

    # --- counters

    def _counters(self, secret: Secret, name: str, client: Client, nonce: bytes | None, now: datetime) -> list[Tally]:
        account = name.casefold()
        if nonce is not None:
            names = {Counted.DEVICE: f"{account} {nonce.hex()}"}
        else:
            network = network_of(client.address)
            names = {
                Counted.PAIR: f"{account} {network}",
                Counted.NETWORK: network,
                Counted.ACCOUNT: account,
            }
        return [
            Tally(
                key=self._keyring.mac(KEY, f"attempts {secret} {counted} {what}".encode("utf-8", "surrogatepass"))[:16],
                secret=secret,
                counted=counted,
                failures=0,
                last_at=now,
            )
            for counted, what in names.items()
        ]

    def _refuse(self, standing: list[Tally], now: datetime, name: str) -> None:
        """Raises. What refuses is written to the log once a period: a flood of tries must not fill it."""
        refusing = [one for one in standing if one.refuses(now)]
        wait = waits(refusing, now)
        if not all(one.told for one in refusing):
            with self._database.begin() as unit:
                if unit.attempts.tell([one.key for one in refusing], now):
                    detail = {
                        "counted": sorted(one.counted.value for one in refusing),
                        "secret": refusing[0].secret.value,
                        "wait_seconds": int(wait.total_seconds()),
                    }
                    user = unit.accounts.user_by_name(name)
                    target = None if user is None else user.id
                    self._audit.record(unit, actor=ACTOR, act=Act.SIGN_IN_REFUSED, target=target, detail=detail)
                unit.commit()
        raise TooManyAttempts(wait)

    def _tidy(self, now: datetime) -> None:
        """Now and then; each process keeps its own time for it, and two at once do no harm."""
        self._tries += 1
        due = self._tidied_at is None or now - self._tidied_at >= _TIDY_EVERY
        if not due and self._tries < _TIDY_AFTER:
            return
        self._tries, self._tidied_at = 0, now
        with self._database.begin() as unit:
            unit.attempts.tidy(before=now - FORGET, most=self._most_rows)
            unit.commit()

    # --- devices

    def _known(self, token: str | None, name: str, now: datetime) -> bytes | None:
        """The nonce of a device that may be counted by itself, None for an unknown one."""
        try:
            data = base64.urlsafe_b64decode((token or "") + "=" * (-len(token or "") % 4))
        except (binascii.Error, ValueError):
            return None
        nonce, stamp, tag = data[:_NONCE], data[_NONCE : _NONCE + _STAMP], data[_NONCE + _STAMP :]
        if len(tag) != _TAG or not hmac.compare_digest(tag, self._tag(name, nonce + stamp)):
            return None
        age = now.timestamp() - int.from_bytes(stamp)
        return nonce if age < DEVICE_LIFE.total_seconds() else None

    def _tag(self, name: str, data: bytes) -> bytes:
        account = name.casefold().encode("utf-8", "surrogatepass")
        return self._keyring.mac(KEY, b"device " + data + account)


def network_mark(keyring: Keyring, address: str | None) -> bytes:
    """A keyed hash of the network that a stranger asks from, for counting what waits there (``domain.waiting``)."""
    return keyring.mac(KEY, f"waiting {network_of(address)}".encode())[:16]


def network_of(address: str | None) -> str:
    """The network that a client is counted by: its /24 (IPv4) or /48 (IPv6); ``here`` where there is no address."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "here"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = _IPV4_PREFIX if found.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((found, prefix), strict=False))
