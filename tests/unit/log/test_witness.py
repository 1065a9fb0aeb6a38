"""The witness: signs what continues what it saw, durably; refuses and shouts when the log goes back or forks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from recvault.adapters.log_outlets import DirectoryOutlet, Webhook, WitnessOutlet, addition_text
from recvault.domain.audit import Act
from recvault.domain.checkpoints import ED25519, Checkpoint, NoteKey, parse_checkpoint
from recvault.domain.errors import AuditFailure, Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from recvault.domain.log_tree import Place, consistency, grow, leaf_hashes, root_of
from recvault.domain.ports.publication import Addition, KnowsAnother
from recvault.interfaces.cli.program import app
from recvault.interfaces.witness import fetching
from recvault.interfaces.witness.serving import server
from recvault.interfaces.witness.state import WitnessState
from recvault.interfaces.witness.watching import Contradiction, Witness, parse_addition
from recvault.sealing import notes
from recvault.services.checkpoints import CheckpointRules, Checkpoints
from tests.support.archives import make_world
from tests.support.serving import serve

NOW = datetime(2026, 11, 22, 12, 0, 7, tzinfo=UTC)


class Log:
    """A log with its key; ``word`` tells one history from another."""

    def __init__(
        self, secret: Ed25519PrivateKey | None = None, *, word: str = "a", name: str = "log.example/1"
    ) -> None:
        self.secret = secret or Ed25519PrivateKey.generate()
        self.key = NoteKey(name=name, kind=ED25519, public=self.secret.public_key().public_bytes_raw())
        leaves = [f"{word if number >= 5 else 'same'}{number}".encode() for number in range(600)]
        self.tiles = grow(0, {}, leaf_hashes(leaves)).tiles

    def tile(self, place: Place) -> bytes:
        return self.tiles.get(place, b"")

    def checkpoint(self, size: int) -> Checkpoint:
        made = Checkpoint(origin=self.key.name, size=size, root=root_of(size, self.tile))
        return notes.sign(made, self.key, self.secret.sign)

    def addition(self, old: int, size: int) -> Addition:
        return Addition(old=old, proof=consistency(old, size, self.tile), checkpoint=self.checkpoint(size))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def state(tmp_path: Path, log: Log) -> WitnessState:
    made = WitnessState.create(tmp_path / "witness", "witness.example/1")
    made.follow(log.key)
    return made


@pytest.fixture
def witness(state: WitnessState) -> Witness:
    return Witness(state, now=lambda: NOW)


def test_what_continues_is_signed_and_kept(witness: Witness, state: WitnessState, log: Log, tmp_path: Path) -> None:
    for old, size in ((0, 3), (3, 3), (3, 256), (256, 600)):
        watched = witness.add(log.addition(old, size))
        signed = watched.checkpoint.with_signatures(watched.signature)
        assert notes.verify_cosignature(signed, state.key) == NOW
    again = WitnessState(tmp_path / "witness")
    assert again.key == state.key
    last = again.last(log.key)
    assert last is not None and last.size == 600
    assert notes.verify_cosignature(last, state.key) == NOW
    assert (tmp_path / "witness" / "witness.key").stat().st_mode & 0o777 == 0o600


def test_a_log_that_goes_back_or_forks_is_refused_aloud(
    witness: Witness, state: WitnessState, log: Log, tmp_path: Path
) -> None:
    witness.add(log.addition(0, 300))
    fork = Log(log.secret, word="b")
    with structlog.testing.capture_logs() as said:
        for addition, what in (
            (log.addition(200, 200), "rollback"),
            (fork.addition(300, 300), "fork"),
            (fork.addition(300, 400), "no proof of growth"),
        ):
            with pytest.raises(Contradiction, match=f"{what}: log.example/1 was seen with 300"):
                witness.add(addition)
    assert [line["log_level"] for line in said] == ["critical"] * 3
    evidence = sorted(file.name for file in (tmp_path / "witness" / "evidence").iterdir())
    assert len(evidence) == 6  # each beside what it contradicts
    for name in evidence:
        notes.verify(parse_checkpoint((tmp_path / "witness" / "evidence" / name).read_text("utf-8")), log.key)
    last = state.last(log.key)
    assert last is not None and (last.size, last.root) == (300, log.checkpoint(300).root)
    witness.add(log.addition(300, 400))  # the true one goes on


def test_who_is_not_the_log_is_refused(witness: Witness, state: WitnessState, log: Log) -> None:
    with pytest.raises(Forbidden, match=r"does not verify|has not signed"):
        witness.add(Log().addition(0, 3))
    with pytest.raises(NotFound, match="ask its operator why"):
        witness.add(Log(log.secret, name="log.example/2").addition(0, 3))
    with pytest.raises(KnowsAnother) as known:
        witness.add(log.addition(2, 3))
    assert known.value.size == 0
    with pytest.raises(InvalidInput, match="more leaves"):
        witness.add(Addition(old=9, proof=(), checkpoint=log.checkpoint(3)))
    assert state.last(log.key) is None
    with pytest.raises(InvalidInput, match="key of a witness"):
        state.follow(state.key)


def test_one_process_is_the_witness(state: WitnessState, tmp_path: Path) -> None:
    with state.alone():
        other = WitnessState(tmp_path / "witness")
        with pytest.raises(Conflict, match="another process"), other.alone():
            pass
    with pytest.raises(InvalidInput, match="holds a witness already"):
        WitnessState.create(tmp_path / "witness", "other")
    with pytest.raises(InvalidInput, match="recvault witness init"):
        WitnessState(tmp_path)


@pytest.mark.parametrize("text", ["", "old 1", "old x\n\nnote", "old 1\nnot base64\n\nlog\n1\nAA==\n\n", "old 01\n\n"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_addition(text)


# --- over the network


@contextmanager
def serving(witness: Witness) -> Iterator[str]:
    with server(witness, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()
            thread.join()


def test_the_witness_answers_as_the_protocol_says(witness: Witness, log: Log) -> None:
    fork = Log(log.secret, word="b")
    with serving(witness) as address, httpx.Client(base_url=address, trust_env=False) as client:

        def told(addition: Addition) -> httpx.Response:
            return client.post("/add-checkpoint", content=addition_text(addition).encode())

        first = told(log.addition(0, 300))
        assert first.status_code == 200 and first.text.startswith("\N{EM DASH} witness.example/1 ")
        behind = told(log.addition(0, 400))
        assert (behind.status_code, behind.text, behind.headers["content-type"]) == (409, "300\n", "text/x.tlog.size")
        assert told(fork.addition(300, 400)).status_code == 422
        assert told(Log().addition(300, 400)).status_code == 403
        assert told(Log(name="other").addition(0, 4)).status_code == 404
        assert client.post("/add-checkpoint", content=b"what").status_code == 400
        assert client.post("/add-checkpoint", content=b"x" * 70_000).status_code == 400
        assert client.post("/elsewhere", content=b"").status_code == 404
        assert client.get("/add-checkpoint").status_code == 501


def test_archive_and_witness_together(witness: Witness, state: WitnessState, tmp_path: Path) -> None:
    """An archive that grows is witnessed; its database put back and grown again is not."""
    world = make_world()
    with world.archive, serving(witness) as address, httpx.Client(trust_env=False) as client:
        archive = world.archive
        points = Checkpoints(
            database=archive.database, store=archive.store, keyring=archive.keyring, audit=archive.audit,
            clock=archive.clock, rules=CheckpointRules(),
            outlets=[WitnessOutlet(address, state.key, client=client), DirectoryOutlet(tmp_path / "out")],
        )  # fmt: skip
        state.follow(points.key())
        for _ in range(2):
            archive.audit.note(actor="system:test", act=Act.VIEWED)
            archive.audit.sequence()
            points.publish(at_once=True)
        latest = points.latest()
        assert latest is not None
        assert notes.verify_cosignature(latest, state.key) == NOW
        state.follow(Log(name="elsewhere").key)
        unknown = WitnessOutlet(address, state.key, client=client)
        with pytest.raises(AuditFailure, match=r"refuses the checkpoint \(403\)"):
            unknown.tell(Log(name="elsewhere").addition(0, 3))
        with pytest.raises(Unavailable, match="answered 404"):
            Webhook(f"{address}/hook", client=client).tell(Log().addition(0, 3))
    with pytest.raises(Unavailable, match="cannot be reached"):
        Webhook("http://127.0.0.1:1/", client=httpx.Client(trust_env=False)).tell(Log().addition(0, 3))


# --- from a directory


def test_a_directory_is_read_in_order_and_its_newest_is_looked_at(
    witness: Witness, state: WitnessState, log: Log, tmp_path: Path
) -> None:
    published, out = tmp_path / "published", tmp_path / "out"
    out.mkdir()
    outlet = DirectoryOutlet(published)
    for old, size in ((0, 3), (3, 299), (299, 300)):
        outlet.tell(log.addition(old, size))
    done = fetching.from_directory(witness, state, published, out=out)
    assert [one.checkpoint.size for one in done] == [3, 299, 300]
    assert fetching.from_directory(witness, state, published, out=out) == []
    cosigned = [parse_checkpoint(file.read_text("utf-8")) for file in sorted(out.iterdir())]
    assert [notes.verify_cosignature(one, state.key) for one in cosigned] == [NOW] * 3
    outlet.tell(log.addition(0, 200))  # the archive went back, and shows less as its newest
    with pytest.raises(Contradiction, match="rollback"):
        fetching.from_directory(witness, state, published, out=None)
    outlet.tell(Log(log.secret, word="b").addition(300, 310))
    with pytest.raises(Contradiction, match="no proof of growth"):
        fetching.from_directory(witness, state, published, out=None)


def test_the_commands(tmp_path: Path, log: Log) -> None:
    home, published = str(tmp_path / "w"), tmp_path / "published"

    def run(*words: str) -> str:
        ran = CliRunner().invoke(app, ["witness", *words])
        assert ran.exit_code == 0, ran.output + repr(ran.exception)
        return ran.output

    key = run("init", home, "--name", "auditor.example/1")
    assert key == run("key", home) and key.startswith("auditor.example/1+")
    run("follow", home, log.key.text())
    DirectoryOutlet(published).tell(log.addition(0, 30))
    assert run("read", home, str(published)) == "signed 30 entries of log.example/1\n"
    assert log.checkpoint(30).root.hex() in run("status", home)
    DirectoryOutlet(published).tell(log.addition(0, 20))
    refused = CliRunner().invoke(app, ["witness", "read", home, str(published)])
    assert isinstance(refused.exception, Contradiction)


# --- from the archive itself


def test_a_witness_asks_the_archive(witness: Witness, state: WitnessState) -> None:
    world = make_world()
    archive, sizes = world.archive, []
    with archive, serve(archive) as served:
        client, address = served.client, f"http://127.0.0.1:{served.port}"
        assert client.get("/v1/log/checkpoint").status_code == 404
        state.follow(archive.checkpoints.key())
        for _ in range(2):
            archive.audit.note(actor="system:test", act=Act.VIEWED)
            archive.audit.sequence()
            archive.checkpoints.publish(at_once=True)
            sizes += [one.checkpoint.size for one in fetching.from_archive(witness, state, address, out=None)]
        latest = archive.checkpoints.latest()
        assert latest is not None
        assert sizes == [latest.size - 1, latest.size]
        assert fetching.from_archive(witness, state, address, out=None) == []
        assert parse_checkpoint(client.get("/v1/log/checkpoint").text) == latest
        assert client.get("/v1/log/addition", params={"old": latest.size + 1}).status_code == 409
        assert client.get("/v1/log/addition", params={"old": -1}).status_code == 422
