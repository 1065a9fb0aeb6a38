"""What makes a password a bad one: common, rows of keys, names, known from breaches; and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from recvault.adapters.breach_list import BreachList
from recvault.adapters.common_passwords import CommonPasswords
from recvault.domain.errors import ConfigurationError, InvalidInput
from recvault.services.passwords import MAXIMUM, MINIMUM, Passwords
from tests.support.hashing import CountingHasher

KNOWN = [f"vuotanut salasana {number}" for number in range(400)]
NAMES = ("maija", "Maija Meikäläinen")


def judge(breached: BreachList | None = None) -> Passwords:
    return Passwords(
        hasher=CountingHasher(), common=CommonPasswords(), breached=breached, names=("Esimerkki Oy", "recvault")
    )


@pytest.mark.parametrize(
    "password",
    [
        "pitka ja rauhallinen 7",
        "aurinkoinenkes",
        "384920174655",  # digits alone are no fault: there are no rules of composition
        "correct horse battery staple",
        "maija menee metsaan",
        "ÄÄNILEVY soi yöllä",
        "x9" * 6 + "!q7R",
        "p" + "q7Rz" * 250,
    ],
)
def test_good_ones(password: str) -> None:
    judge().require_good(password, names=NAMES)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("x" * (MINIMUM - 1), "12 to 1024"),
        ("", "12 to 1024"),
        ("q7Rz!" * 300, "12 to 1024"),
        ("SonyEricsson", "first"),
        ("password1234", "first"),
        ("Password!!!!", "first"),
        ("passwordpassword", "first"),
        ("aaaaaaaaaaaaaaaa", "first"),
        ("abcabcabcabcabc", "first"),
        ("123456789012345", "first"),
        ("abcdefghijklmnop", "first"),
        ("987654321098", "first"),
        ("Maija-Maija-2026", "name"),
        ("MAIJA1234567890", "name"),
        ("meikäläinen2026", "name"),
        ("Esimerkki-Oy-2026", "name"),
        ("recvault-password", "name"),
    ],
)
def test_bad_ones(password: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        judge().require_good(password, names=NAMES)
    assert not password or password not in str(refused.value)
    assert MAXIMUM == 1024


# --- the operator's list


def digests(passwords: Iterable[str]) -> list[str]:
    return sorted(hashlib.sha1(one.encode()).hexdigest().upper() for one in passwords)


@pytest.fixture(scope="module", params=["ranges", "ranges with .txt", "one file", "one file, CRLF"])
def breached(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BreachList:
    place = tmp_path_factory.mktemp("pwned")
    if request.param.startswith("ranges"):
        ranges: dict[str, list[str]] = {prefix: [] for prefix in ("00000", "FFFFF")}
        for digest in digests(KNOWN):
            ranges.setdefault(digest[:5], []).append(f"{digest[5:]}:7")
        for digest in digests(["täyte, ei vuotanut"]):
            ranges.setdefault(digest[:5], []).append(f"{digest[5:]}:0")
        for prefix, lines in ranges.items():
            name = prefix + (".txt" if "txt" in request.param else "")
            (place / name).write_text("\r\n".join(lines), "ascii", newline="")
        return BreachList(place)
    end = "\r\n" if "CRLF" in request.param else "\n"
    lines = [f"{digest}:{number + 1}" for number, digest in enumerate(digests(KNOWN))]
    (place / "all.txt").write_text(end.join(lines) + end, "ascii", newline="")
    return BreachList(place / "all.txt")


def test_every_known_one_is_found(breached: BreachList) -> None:
    assert all(password in breached for password in KNOWN)
    with pytest.raises(InvalidInput, match="breach"):
        judge(breached).require_good(KNOWN[17], names=NAMES)
    assert breached.check()


def test_others_are_not(breached: BreachList, tmp_path: Path) -> None:
    if breached._place.is_dir():
        assert "täyte, ei vuotanut" not in breached  # a count of zero is padding
        with pytest.raises(ConfigurationError, match="lacks one of its ranges"):
            "tuntematon lista-alue" in breached  # noqa: B015 - asking is the point
    else:
        assert not any(f"tuntematon {number}" in breached for number in range(300))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a list\n", b"0" * 40 + b"\n", b"0" * 39 + b":1\n", b"0" * 500, b"0" * 40 + b":many\n"],
)
def test_a_list_that_is_none_is_a_fault_and_never_not_found(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"access\.breach_list"):
        BreachList(tmp_path / "list").check()
    if len(content) != 42:  # a line that is whole, and says nothing else
        with pytest.raises(ConfigurationError, match=r"access\.breach_list"):
            "tuntematon salasana" in BreachList(tmp_path / "list")  # noqa: B015 - asking is the point


def test_a_list_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as fault:
        judge(BreachList(tmp_path / "none")).require_good("pitka ja rauhallinen 7", names=())
    assert "rauhallinen" not in str(fault.value)
