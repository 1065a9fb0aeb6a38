"""Phones for the test: baresip at both ends, and a caller that may put any byte into its From header.

Speech is made by espeak-ng and brought to telephone quality by sox. Everything binds 127.0.0.1 only, in a
network namespace that has nothing else. What was said is kept as 16-bit samples, for comparison.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import subprocess
import time
from pathlib import Path

RATE = 8000  # samples per second of everything here
FRAME = 160  # samples in a packet: 20 ms
PBX = ("127.0.0.1", 15060)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """One voice saying one text: a WAV file of 16-bit mono samples at 8000 per second, and its A-law twin."""

    text: str
    wav: Path
    alaw: Path


def speak(*, text: str, voice: str, delay: float, length: float, into: Path) -> Speech:
    """Say `text` after `delay` seconds of silence, with at least `length` seconds of silence after it."""
    raw, wav, alaw = into.with_suffix(".raw.wav"), into.with_suffix(".wav"), into.with_suffix(".al")
    subprocess.run(["espeak-ng", "-v", voice, "-s", "155", "-w", raw, "--", text], check=True)
    shape = ["-r", str(RATE), "-c", "1"]
    tail = ["gain", "-n", "-6", "rate", str(RATE), "pad", str(delay), str(length)]
    subprocess.run(["sox", "-R", raw, *shape, "-b", "16", wav, *tail], check=True)
    subprocess.run(["sox", "-R", "-D", wav, *shape, "-t", "al", alaw], check=True)
    raw.unlink()
    return Speech(text=text, wav=wav, alaw=alaw)


def _configure(home: Path, *, user: str, port: int, rtp: str, speech: Speech, answers: bool) -> None:
    home.mkdir(parents=True)
    lines = [
        "poll_method epoll",
        "net_interface 127.0.0.1",
        f"sip_listen 127.0.0.1:{port}",
        "audio_player aubridge,nil",
        f"audio_source aufile,{speech.wav}",
        "audio_alert aubridge,nil",
        f"rtp_ports {rtp}",
        "module_path /usr/lib/baresip/modules",
        *(f"module {name}.so" for name in ("stdio", "g711", "aufile", "aubridge")),
        "module_tmp uuid.so",
        "module_tmp account.so",
        "module_app menu.so",
    ]
    (home / "config").write_text("\n".join(lines) + "\n")
    mode = "auto" if answers else "manual"
    (home / "accounts").write_text(f"<sip:{user}@127.0.0.1>;regint=0;answermode={mode};audio_codecs=pcma\n")
    (home / "contacts").write_text("")


@dataclasses.dataclass(kw_only=True, slots=True)
class Phone:
    """A running baresip; a context manager that ends the one process it started."""

    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def established(self) -> bool:
        """Whether the phone reported an established call."""
        return "Call established" in self.log.read_text(errors="replace")


def baresip(
    home: Path,
    *,
    user: str,
    port: int,
    rtp: str,
    speech: Speech,
    answers: bool,
    dial: str | None = None,
    seconds: float,
) -> Phone:
    """Start one baresip; it ends by itself `seconds` after it was started."""
    _configure(home, user=user, port=port, rtp=rtp, speech=speech, answers=answers)
    command = ["baresip", "-f", str(home), "-t", str(int(seconds))]
    if dial is not None:
        command += ["-e", f"/dial {dial}"]
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    return Phone(process=process, log=log)


class RawCaller:
    """A telephone in sixty lines: INVITE, ACK, speech in RTP, BYE (RFC 3261); its From header is given."""

    def __init__(self, *, sender: bytes, number: str, port: int = 15061, rtp_port: int = 13000) -> None:
        self._sender, self._number, self._port, self._rtp_port = sender, number, port, rtp_port
        self._call_id = os.urandom(8).hex()
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind(("127.0.0.1", port))
        self._sip.settimeout(10)
        self._to = f"<sip:{number}@127.0.0.1>".encode()

    def _send(self, method: str, cseq: int, body: str = "") -> None:
        branch = f"z9hG4bK{self._call_id}{cseq}{method[0]}"
        head = [
            f"{method} sip:{self._number}@127.0.0.1:{PBX[1]} SIP/2.0".encode(),
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch={branch};rport".encode(),
            b"Max-Forwards: 70",
            b"From: " + self._sender + b";tag=" + self._call_id.encode(),
            b"To: " + self._to,
            f"Call-ID: {self._call_id}".encode(),
            f"CSeq: {cseq} {method}".encode(),
            f"Contact: <sip:caller@127.0.0.1:{self._port}>".encode(),
            *([b"Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}".encode(),
        ]
        self._sip.sendto(b"\r\n".join(head) + b"\r\n\r\n" + body.encode(), PBX)

    def _final_answer(self) -> tuple[int, bytes]:
        while True:
            message = self._sip.recv(65536)
            status = re.match(rb"SIP/2\.0 (\d{3})", message)
            if status and int(status[1]) >= 200:
                return int(status[1]), message

    def call(self, speech: Speech, *, seconds: float) -> int:
        """Call, speak for `seconds` when answered, hang up; the SIP status of the INVITE."""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._rtp_port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
        )
        with self._sip:
            self._send("INVITE", 1, sdp)
            status, answer = self._final_answer()
            to = re.search(rb"(?mi)^(?:To|t):\s*([^\r\n]+)", answer)
            if to:
                self._to = to[1]
            self._send("ACK", 1)
            if status == 200:
                media = re.search(rb"m=audio (\d+)", answer)
                if media is None:
                    raise AssertionError("the PBX answered without audio")
                self._speak(speech.alaw.read_bytes(), ("127.0.0.1", int(media[1])), seconds)
                self._send("BYE", 2)
                self._final_answer()
        return status

    def _speak(self, sound: bytes, target: tuple[str, int], seconds: float) -> None:
        start = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
            rtp.bind(("127.0.0.1", self._rtp_port))
            for n in range(int(seconds * RATE / FRAME)):
                payload = sound[n * FRAME : (n + 1) * FRAME].ljust(FRAME, b"\xd5")
                head = b"\x80\x08" + n.to_bytes(2) + (n * FRAME).to_bytes(4) + b"RVLT"
                rtp.sendto(head + payload, target)
                time.sleep(max(0.0, start + (n + 1) * FRAME / RATE - time.monotonic()))
