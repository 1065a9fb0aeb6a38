"""The main job, from the hook to the destruction, step by step. Where a person would use the archive, the walk uses its
HTTP API; every claim it prints was looked at first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from recvault.bootstrap import Archive
from recvault.domain.accounts import actor_of
from recvault.interfaces.cli.evidence import public_pem
from recvault.interfaces.cli.session import OPERATOR
from recvault.interfaces.demo import cast
from recvault.interfaces.demo.api import Answer, Api
from recvault.interfaces.demo.cast import Person
from recvault.interfaces.demo.exchange import Exchange, Sample
from recvault.interfaces.demo.home import NOTICE, Home
from recvault.interfaces.demo.telling import Teller, expect
from recvault.interfaces.worker import Worker

PATIENCE_SECONDS = 20.0
"""How long the walk waits for what the worker does by itself."""

FIRST, LAST = 16_000, 31_999
"""The bytes of the range that is played: one second of 8 kHz samples of two bytes."""


class Walk:
    """One walk through a fresh archive that is being served at ``address``."""

    def __init__(self, *, archive: Archive, worker: Worker, home: Home, address: str, tell: Teller) -> None:
        self._archive = archive
        self._worker = worker
        self._home = home
        self._address = address
        self._tell = tell
        self._exchange = Exchange(home=home.host)
        self._anybody = Api(address)
        self._content: dict[str, bytes] = {}
        self._ids: dict[str, str] = {}
        self._sessions: dict[str, Api] = {}
        self._hold_id = ""
        self.people: Mapping[str, Person] = {}

    def run(self) -> None:
        """Every step; Unmet at the first thing that does not hold."""
        self.found()
        self.fill_register()
        self.send()
        self.search()
        self.play()
        self.refuse()
        self.hold()
        self.destroy()
        self.certify()
        self.verify_logs()

    # --- 1 and 2: an archive, its people and its register

    def found(self) -> None:
        """The archive is there; its place is allowed; a named person has signed the policy."""
        tell, archive = self._tell, self._archive
        tell.step("An archive is set up")
        expect(self._anybody.get("/readyz").status == 200, "the served archive to be ready")
        expect(archive.places.check() == (), "the place of the object store to be allowed")
        place = archive.config.places[archive.config.store.place]
        tell.say(f"a database, a keyring and its root key, each apart, in {self._home.root}; {self._store_is()}")
        tell.proof(f"the objects lie in {place.country}, which is allowed; any other country would be refused")
        self.people = cast.add_people(archive)
        policy = archive.retention.active().version
        expect(archive.purge.forecast().stopped_because is not None, "destruction to be off under an unsigned policy")
        paula = archive.accounts.user_named("paula")
        archive.retention.sign(actor_of(paula), policy)
        expect(archive.purge.forecast().stopped_because is None, "destruction to be on under a signed policy")
        tell.proof(f"retention policy '{policy}' is signed by {paula.display_name}; unsigned, it destroys nothing")

    def fill_register(self) -> None:
        """Customers and agents, from files as a nightly import brings them."""
        self._tell.step("Customers and agents are imported")
        customers, agents = cast.import_register(self._archive)
        self._tell.say(f"{customers} customers and {agents} agents, from CSV files with Finnish headings")

    # --- 3: the hook

    def send(self) -> None:
        """Sealed at once on the telephone exchange, uploaded, receipts compared."""
        tell = self._tell
        tell.step("Calls and messages arrive through the hook")
        _, token = self._archive.sources.add("demo-exchange", by=OPERATOR, notice_ref=NOTICE)
        tell.say(self._exchange.enrol(address=self._address, token=token))
        now = self._archive.clock.now()
        for sample in cast.SAMPLES:
            self._content[sample.file] = self._exchange.record(sample, now=now)
        clear = [content[400:448] for content in self._content.values() if len(content) > 1000]
        clear.append(cast.CALLER.encode())
        sealed = self._exchange.sealed()
        expect(not any(piece in file for piece in clear for file in sealed), "nothing to lie on the exchange in clear")
        tell.proof("on the exchange everything is sealed: no sound, no number in clear, before it is sent")
        said = self._exchange.deliver()
        expect(
            [line["event"] for line in said] == ["delivered"] * len(cast.SAMPLES),
            f"{len(cast.SAMPLES)} receipts with the right SHA-256",
        )
        self._ids = {sample.file: str(line["id"]) for sample, line in zip(cast.SAMPLES, said, strict=True)}
        tell.rows([(sample.what, str(line["id"])) for sample, line in zip(cast.SAMPLES, said, strict=True)])
        tell.proof(f"{len(said)} receipts came back, each with the SHA-256 of what was sealed")

    # --- 4 and 5: found and played

    def search(self) -> None:
        """By customer number and by telephone number."""
        tell = self._tell
        tell.step("A verifier finds them by customer")
        rows = self._api("vera").search(purpose="verification", customer_number="1001")
        wanted = {self._ids[s.file] for s in cast.SAMPLES if s not in (cast.HELD, cast.FORGOTTEN)}
        expect({row["id"] for row in rows} == wanted, "customer 1001 to have exactly what its contacts sent")
        tell.rows([(row["channel"], row["started_at"][:16], f"kept until {row['destroy_at'][:10]}") for row in rows])
        by_number = self._api("vera").search(purpose="verification", tel="040 123 4501")
        numbered = {row["id"] for row in rows if row["channel"] != "email"}
        expect({row["id"] for row in by_number} == numbered, "the number, as people write it, to find the same")
        tell.proof(f"{len(rows)} found by customer number, {len(by_number)} of them by '040 123 4501'")
        marked = self._api("vera").search(purpose="verification", customer_number="1001", needs_attention=True)
        expect(not marked, "nothing odd about what customer 1001 sent")

    def play(self) -> None:
        """A range of the sealed recording, compared with the bundled bytes."""
        tell, vera = self._tell, self._api("vera")
        tell.step("She plays a part of a call")
        original = self._content[cast.BILLING.file]
        opened = self._open(vera, cast.BILLING, purpose="verification", case_ref="DEMO-1")
        part = vera.get(opened["playback"], {"Range": f"bytes={FIRST}-{LAST}"})
        expect(part.status == 206, f"206 for a byte range, not {part.status}")
        expect(part.headers["content-range"] == f"bytes {FIRST}-{LAST}/{len(original)}", "the range that was asked for")
        expect(part.body == original[FIRST : LAST + 1], "the bytes that were recorded")
        tell.proof(f"206 {part.headers['content-range']}: the same bytes as recorded")
        whole = vera.get(opened["playback"])
        expect(whole.status == 200 and whole.body == original, "the whole recording, byte for byte")
        tell.proof(f"the whole call, {len(original)} bytes, is what was recorded; both looks are in the audit log")
        timo = self._api("timo")
        expect(timo.get(opened["playback"]).status == 404, "her address to be worth nothing to anybody else")
        tell.proof("the address she plays from is worth nothing to a colleague: 404")

    # --- 6: refused

    def refuse(self) -> None:
        """The wrong role, and a purpose that has ended."""
        tell = self._tell
        tell.step("Others are refused")
        for name in ("aatu", "tuuli"):
            answer = self._api(name).open(self._ids[cast.BILLING.file], purpose="training")
            expect(answer.status == 403, f"403 for {self.people[name].display_name}, not {answer.status}")
            tell.proof(f"{self.people[name].display_name}: 403, {answer.refusal()}")
        ended = self._api("timo").open(self._ids[cast.TERMINATION.file], purpose="training")
        expect(ended.status == 403 and "purpose-not-live" in ended.refusal(), "403 for a purpose that has ended")
        tell.proof(f"Timo Trainer, four months after the call: 403, {ended.refusal()}")
        self._open(self._api("timo"), cast.BILLING, purpose="training")
        self._open(self._api("vera"), cast.TERMINATION, purpose="verification", reason="complaint")
        tell.proof("yesterday's call is open to him, and the old one still to Vera for verification")

    # --- 7 and 8: held, released, destroyed

    def hold(self) -> None:
        """A purge leaves what is held, and destroys what is as old and not held."""
        tell, paula = self._tell, self._api("paula")
        tell.step("A privacy handler holds an old call; the nightly purge leaves it")
        held, forgotten = self._ids[cast.HELD.file], self._ids[cast.FORGOTTEN.file]
        review = (self._archive.clock.now() + timedelta(days=180)).date().isoformat()
        answer = paula.post("/v1/holds", {"reason": "a claim", "review_on": review, "communication_id": held})
        expect(answer.status == 201 and answer.value()["covered"] == 1, "the hold to be placed")
        self._hold_id = str(answer.value()["id"])
        self._worker.now("purge")
        expect(self._view(held).status == 200, "the held call to be there after the purge")
        tell.proof(f"{cast.HELD.what} is past its end, held, and still there")
        expect(self._view(forgotten).status == 410, "the call without a hold to be destroyed")
        tell.proof(f"{cast.FORGOTTEN.what} had no hold: destroyed by the same run")
        expect(self._view(self._ids[cast.BILLING.file]).status == 200, "yesterday's call to be untouched")

    def destroy(self) -> None:
        """Released and destroyed: objects, opening and sending again."""
        tell = self._tell
        tell.step("The hold is released by two people; the call is destroyed and does not come back")
        held = self._ids[cast.HELD.file]
        expect(self._objects_of(held) > 0, "its object to be in the store before")
        proposed = self._api("paula").post(f"/v1/holds/{self._hold_id}/release", {"reason": "the claim is settled"})
        expect(proposed.status == 202, "the release to be proposed")
        proposal = str(proposed.value()["id"])
        alone = self._api("paula").post(f"/v1/approvals/{proposal}/approve")
        expect(alone.status == 403, f"403 for whoever approves without the role, not {alone.status}")
        self._worker.now("purge")
        expect(self._objects_of(held) > 0, "the call to be there while one person alone has asked")
        released = self._api("arvo").post(f"/v1/approvals/{proposal}/approve")
        expect(released.status == 200, "the hold to be released")
        tell.proof("one person proposed the release, another approved it; until then the purge left the call")
        self._worker.now("purge")
        expect(self._objects_of(held) == 0, "nothing of it in the store")
        expect(self._archive.purge.absent(held), "no version and no open upload of it in the store")
        tell.proof("its objects were looked for, and there are none")
        gone = self._api("paula").open(held, purpose="request")
        expect(gone.status == 410, f"410 for opening it, not {gone.status}")
        tell.proof(f"opening it: 410, {gone.refusal()}")
        self._exchange.record(cast.HELD, now=self._archive.clock.now())
        said = self._exchange.deliver()
        expect(
            [(line["event"], line["status"]) for line in said] == [("destroyed", 410)], "410 for sending it once more"
        )
        expect(self._objects_of(held) == 0, "sending it once more to store nothing")
        tell.proof("the exchange sends it once more: 410, nothing is stored, the spool lets it go")

    # --- 9 and 10: proven

    def certify(self) -> None:
        """Both certificates, verified elsewhere from file and public key alone; a tampered copy is not genuine."""
        tell, folder = self._tell, self._home.certificates
        tell.step("The destruction is proven to a stranger")
        folder.mkdir(mode=0o700)
        key = folder / "public-key.pem"
        key.write_bytes(public_pem(self._archive.certificates.public_key()))
        first = self._certificate(cast.HELD, "inaccessible")
        code, text = _stranger(first, key)
        expect(code == 0 and self._ids[cast.HELD.file] in text, "the certificate to be genuine to a stranger")
        tell.proof(f"genuine: {first.name}, verified by a program that had only this file and the public key")
        tell.say("it says: content unreachable, its data key gone, no object found; older backups still open it until")
        tell.say("the key that last wrapped it dies (it was held: with this month's key for held recordings)")
        second = self._certificate(cast.FORGOTTEN, "complete")
        code, text = _stranger(second, key)
        expect(code == 0 and "content_unreachable_from_backups_since" in text, "the second certificate to be genuine")
        tell.proof(f"genuine: {second.name}: the key of its day is destroyed too, no backup brings it back")
        tampered = folder / "tampered.json"
        tampered.write_bytes(first.read_bytes().replace(b"A", b"B", 1))
        code, text = _stranger(tampered, key)
        expect(code == 1, "an altered certificate to be refused")
        tell.proof(f"a copy with one letter changed: refused, {text.strip().removeprefix('recvault: ')}")

    def verify_logs(self) -> None:
        """Audit log and ledger hold from end to end."""
        tell = self._tell
        tell.step("The logs hold")
        self._archive.audit.sequence()
        audit = self._archive.audit.verify()
        tell.proof(f"audit log: {audit.size} entries, each in its place in the tree")
        ledger = self._archive.ledger.verify()
        expect(ledger.sequence > 0 and self._archive.ledger.behind() == 0, "the database to follow the ledger")
        tell.proof(f"ledger outside the database: {ledger.sequence} signed entries, in two places")

    # --- parts

    def _api(self, name: str) -> Api:
        if name not in self._sessions:
            self._sessions[name] = self._anybody.signed_in(name, self.people[name].password)
        return self._sessions[name]

    def _open(self, api: Api, sample: Sample, **why: object) -> dict[str, Any]:
        answer = api.open(self._ids[sample.file], **why)
        expect(answer.status == 200, f"{sample.what} to be opened, not {answer.status}")
        return answer.value()

    def _view(self, communication: str) -> Answer:
        return self._api("paula").post(
            f"/v1/communications/{communication}/view", {"purpose": "request", "reference": "REQ-1"}
        )

    def _store_is(self) -> str:
        store = self._archive.config.store
        return "objects in a folder there" if store.kind == "folder" else f"objects in an S3 store at {store.endpoint}"

    def _objects_of(self, communication: str) -> int:
        """What there is under the item's name: files, as the file system shows them, else versions in the bucket."""
        store = self._archive.config.store
        if store.kind == "s3":
            return sum(1 for version in self._archive.store.list_versions("") if communication in version.name)
        root = store.path
        return sum(1 for path in root.rglob("*") if path.is_file() and communication in str(path.relative_to(root)))

    def _certificate(self, sample: Sample, stage: str) -> Path:
        """The certificate as a file, once it is issued."""
        path = f"/v1/destructions/{self._ids[sample.file]}"
        text = _eventually(lambda: self._api("aatu").get(path).value()["certificates"][stage])
        expect(text, f"the certificate '{stage}' to be issued")
        file = self._home.certificates / f"{sample.file.partition('.')[0]}-{stage}.json"
        file.write_text(str(text), encoding="utf-8")
        return file


def _eventually(look: Callable[[], object]) -> object:
    """What ``look`` finds, as soon as it finds something; None when it finds nothing for long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _stranger(certificate: Path, key: Path) -> tuple[int, str]:
    """The stand-alone verifier, in a process of its own in an empty directory: exit code and what it says."""
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(  # noqa: S603 - our own program, a list of words, no shell
            [sys.executable, "-m", "recvault", "certificate", "verify", certificate, "--key", key],
            cwd=elsewhere,
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    return done.returncode, done.stdout + done.stderr
