"""From the telephone to the archive: real calls, the shipped dialplan and hook, compared byte for byte.

Run by run.sh, as root, in namespaces of its own (a network with loopback only, mounts, processes). What must
hold:

 1. what the archive gives back is what Asterisk wrote, every byte of every recording; nothing else arrived;
 2. what Asterisk wrote is what the telephones said, by duration and by ear;
 3. number, queue and times arrive with the call;
 4. a caller's name or number runs nothing (and such a name does run something where a dialplan is careless);
 5. when the hook is done, neither recording nor particulars lie on the telephony host in clear;
 6. a hook that failed loses nothing;
 7. a call that nobody answered is not archived;
 8. the archive keeps no stretch of sound in clear, and its log names nobody.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path

from tests.asterisk.archive import HOST, PORT, Archive
from tests.asterisk.calls import AGENT, Call, Exchange, eventually, number_of
from tests.asterisk.check import compare
from tests.asterisk.telephony import SPOOL, USER, TelephonyHost

# From headers, byte by byte; the number dialled; the number and a piece of the name that must arrive.
# Each tries to run something, or to forge a line of the particulars.
HOSTILE = (
    (
        b'"\\"; touch /tmp/ran-1; $(touch /tmp/ran-2) `touch /tmp/ran-3` \'" <sip:+358401234601@127.0.0.1>',
        "1100", "+358401234601", "; touch /tmp/ran-1; $(touch /tmp/ran-2) `touch /tmp/ran-3` '",
    ),
    (
        b'"${SHELL(touch /tmp/ran-4)} ^{SHELL(touch /tmp/ran-5)}" <sip:+358401234602@127.0.0.1>',
        "1100", "+358401234602", "${SHELL(touch /tmp/ran-4)} ^{SHELL(touch /tmp/ran-5)}",
    ),
    (
        b'"a):1,b=c" <sip:+358%0aanswered=no%0aagent=6666%0a$(touch%20/tmp/ran-6)%60touch%20/tmp/ran-7%60@127.0.0.1>',
        "4100", None, "a):1,b=c",
    ),
)  # fmt: skip
CARELESS = b'"x; touch /tmp/ran-careless-2" <sip:+358401234701@127.0.0.1>'


def sealed_only(host: TelephonyHost, calls: list[Call]) -> None:
    """The spool holds all that was recorded, and shows neither a stretch of sound nor a caller's number."""
    spool = host.root / SPOOL
    if sum(f.stat().st_size for f in spool.rglob("*") if f.is_file()) < sum(c.recording.stat().st_size for c in calls):
        raise AssertionError("the spool holds less than was recorded")
    nowhere([spool], calls, [call.number.encode() for call in calls if call.number])


def nowhere(places: list[Path], calls: list[Call], words: list[bytes]) -> None:
    """No file of these places shows a stretch of a recording, or one of these words."""
    clear = list(words)
    for call in calls:
        sound = call.recording.read_bytes()
        pieces = [sound[at : at + 48] for at in range(400, len(sound) - 48, len(sound) // 20)]
        clear += [piece for piece in pieces if len(set(piece)) > 8]  # silence looks alike everywhere
    for file in (f for place in places for f in [place, *place.rglob("*")] if f.is_file()):
        held = file.read_bytes()
        if any(piece in held for piece in clear):
            raise AssertionError(f"{file.name} shows a recording or a caller in clear")


def hook_that_fails(exchange: Exchange) -> Call:
    """A call whose hook cannot run: everything stays, and the sweep hands it over."""
    host, settings = exchange.host, exchange.host.root / "etc/recvault/hook.toml"
    settings.rename(settings.with_suffix(".off"))
    call = exchange.call("1")
    eventually(
        lambda: "End MixMonitor Recording" in host.log().split(call.recording.stem)[-1], "MixMonitor did not end"
    )
    left = {file.name for file in exchange.calls.iterdir()}
    if left != {call.recording.name, call.recording.stem + ".call"}:
        raise AssertionError(f"a hook that failed left {sorted(left)}")
    settings.with_suffix(".off").rename(settings)
    earlier = time.time() - 600
    os.utime(exchange.calls / f"{call.recording.stem}.call", (earlier, earlier))
    host.run(["/usr/local/lib/recvault/asterisk-hook", "--sweep"])
    exchange.settle()
    print("a hook that failed: all kept, then handed over by the sweep")
    return call


def install(host: TelephonyHost, *, wheel: Path, token: Path) -> None:
    """What deploy/asterisk/README.md tells an administrator to do, with the URL of the archive under test."""
    shutil.copyfile(wheel, host.root / "tmp" / wheel.name)
    pip = [
        "/opt/recvault/bin/python",
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        f"/tmp/{wheel.name}",
    ]
    host.run(pip, user="root")
    etc = host.root / "etc/recvault"
    etc.mkdir()
    (etc / "hook.toml").write_text(
        f'url = "http://{HOST}:{PORT}"\ntoken_file = "/etc/recvault/token"\nspool = "/{SPOOL}"\n'
    )
    shutil.copyfile(token, host.root / "tmp/token")
    host.run(["install", "-o", USER, "-g", USER, "-m", "0600", "/tmp/token", "/etc/recvault/token"], user="root")
    (host.root / "tmp/token").unlink()


def ordinary(exchange: Exchange, number: int) -> list[Call]:
    """So many calls, in each format in turn."""
    calls = []
    for n in range(number):
        call = exchange.call("124"[n % 3])
        exchange.settle()
        size = call.recording.stat().st_size
        print(f"call {n + 1}: {call.recording.suffix[1:]}, {size} bytes, sealed")
        calls.append(call)
    return calls


def hostile(exchange: Exchange) -> list[Call]:
    """Callers that try to run something; and one whose success, elsewhere, shows that it would be noticed."""
    calls = []
    for sender, dialled, number, name in HOSTILE:
        call = exchange.raw_call(sender, dialled=dialled, number=number, name=name)
        if call is None:
            raise AssertionError(f"a call from {sender!r} was not recorded")
        calls.append(call)
        exchange.settle()
    exchange.raw_call(CARELESS, dialled="9100")
    proof = [exchange.host.root / f"tmp/ran-careless-{n}" for n in (1, 2)]
    eventually(lambda: all(file.exists() for file in proof), "an injection would go unseen here")
    ran = [str(f) for root in (exchange.host.root, Path("/")) for f in (root / "tmp").glob("ran-[0-9]*")]
    if ran:
        raise AssertionError(f"a caller executed commands: {ran}")
    print(f"{len(calls)} hostile callers: recorded, nothing executed")
    return calls


def unanswered(exchange: Exchange) -> None:
    """Nobody answers, in every format: what Asterisk hands over then is removed."""
    for digit in "124":
        exchange.call(digit, answers=False)
        exchange.settle()
    print("unanswered calls: nothing kept")


def main() -> None:
    """The whole journey; raises AssertionError at the first thing that does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("calls", type=int, help="ordinary calls to make")
    for name in ("base", "work", "wheel", "program"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    asked = parser.parse_args()

    host = TelephonyHost(base=asked.base, work=asked.work)
    archive = Archive(program=asked.program, work=asked.work)
    host.mount()
    numbers = [number_of(n) for n in range(1, asked.calls + 20)] + [h[2] for h in HOSTILE if h[2]]
    install(host, wheel=asked.wheel, token=archive.set_up(numbers=numbers, extension=AGENT, team="service"))
    archive.start()
    settings = ["--config", "/etc/recvault/hook.toml"]
    host.run(["recvault", "hook", "enrol", *settings])
    host.start()
    print("Asterisk and the archive are up")

    exchange = Exchange(host=host, work=asked.work)
    calls = ordinary(exchange, asked.calls) + hostile(exchange)
    unanswered(exchange)
    calls.append(hook_that_fails(exchange))
    sealed_only(host, calls)
    host.run(["recvault", "hook", "agent", "--once", *settings])
    compare(archive, calls)
    nowhere([archive.home], calls, [])  # the register of customers is in clear, by design
    nowhere([archive.log], calls, [number.encode() for number in numbers] + [b"touch", b"Matti", b"Liisa"])
    print(f"{len(calls)} calls: the archive has every byte of them, and they are what was said")


if __name__ == "__main__":
    main()
