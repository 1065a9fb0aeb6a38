"""Passkeys in a real Chromium with its virtual authenticator: enrolled, as second factor, alone, as proof, and approving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, CDPSession, ViewportSize

from recvault.domain.access import Grant, Role
from recvault.domain.approvals import Proposal, ProposalState
from recvault.domain.audit import Act
from tests.support.archives import World
from tests.support.browsing import Watched, sign_in, text
from tests.support.passkeys import passkey_world
from tests.support.serving import serve

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORD = "rauhallinen syysaamu 12"


@dataclass
class Room:
    """An archive of a small company, served under the name for which passkeys are made; a browser with a security key."""

    world: World
    base: str
    watched: Watched
    keys: CDPSession
    device: str


@pytest.fixture
def room(browser: Browser) -> Iterator[Room]:
    world = passkey_world(APPROVALS__MODE="small", ACCESS__SECOND_FACTOR="required", CONTROLLER__NAME="Esimerkki Oy")
    for name, roles in (("arvo", (Role.APPROVER,)), ("yksi", (Role.PRIVACY_HANDLER, Role.APPROVER))):
        grants = tuple(Grant(role=role) for role in roles)
        world.archive.accounts.add_user(name, display_name=name.title(), password=WORD, grants=grants, by="system:test")
    with world.archive, serve(world.archive) as served:
        base = f"http://localhost:{served.port}"
        size: ViewportSize = {"width": 1000, "height": 800}
        context = browser.new_context(viewport=size)
        context.add_cookies([{"name": "lang", "value": "fi", "url": base}])
        watched = Watched(context.new_page(), base)
        watched.page.set_default_timeout(120_000)
        keys = context.new_cdp_session(watched.page)
        keys.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        device = keys.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        yield Room(world=world, base=base, watched=watched, keys=keys, device=device)
        context.close()
        watched.verify()


def enrol(room: Room, who: str) -> None:
    """The first sign-in of an invited person: the password opens the page for a second factor and nothing else."""
    page = room.watched.page
    sign_in(page, room.base, who, WORD)
    assert page.url.startswith(f"{room.base}/second-factor")
    page.goto(f"{room.base}/approvals")
    assert page.url.startswith(f"{room.base}/second-factor")
    page.fill("[name=label]", "turva-avain")
    page.click("text=Rekisteröi pääsyavain")
    page.wait_for_url(f"{room.base}/account")
    assert "turva-avain" in text(page)


def sign_out(room: Room) -> None:
    with room.watched.page.expect_navigation():
        room.watched.page.click("text=Kirjaudu ulos")


def propose(room: Room, who: str) -> Proposal:
    archive, world = room.world.archive, room.world
    found = archive.accounts.user_named(who)
    actor = archive.sessions.whose(archive.sessions.issue_token(who, by="system:test")).actor
    assert actor.id == found.id
    receipt = world.store("call-1")
    hold = archive.holds.place(
        actor, reason="vaatimus", review_on=(world.clock.now() + timedelta(days=9)).date(), communication_id=receipt.id
    ).hold
    return archive.holds.propose_release(archive.approvals, actor, hold.id, reason="vaatimus on sovittu")


def state(room: Room, proposal: Proposal) -> ProposalState:
    with room.world.archive.database.read() as unit:
        return unit.proposals.get(proposal.id).state


def test_an_approver_outside_the_team_from_the_first_sign_in_to_a_mailed_link(room: Room) -> None:
    page, base = room.watched.page, room.base
    enrol(room, "arvo")
    sign_out(room)

    # As the second factor after the password.
    sign_in(page, base, "arvo", WORD)
    page.click("text=Käytä pääsyavainta")
    page.wait_for_url(f"{base}/destructions")
    sign_out(room)

    # Alone, from the link of a mail, to the page of the one proposal.
    proposal = propose(room, "yksi")
    page.goto(f"{base}/approvals/{proposal.id}")
    page.click("text=Kirjaudu pääsyavaimella")
    page.wait_for_url(f"{base}/approvals/{proposal.id}")
    shown = text(page)
    assert "vaatimus on sovittu" in shown and "Yksi" in shown
    page.click("main button.main:text-is('Hyväksy')")
    assert state(room, proposal) is ProposalState.OPEN  # asking is not approving
    page.click("text=Hyväksy pääsyavaimella")
    page.wait_for_url(f"{base}/approvals")
    assert state(room, proposal) is ProposalState.CARRIED_OUT
    with room.world.archive.database.read() as unit:
        (kept,) = unit.passkeys.assertions(proposal.id)
        done = next(one for one in unit.audit.about(proposal.id, 9) if one.act is Act.CARRIED_OUT)
    assert done.detail["key"] == kept.key_digest
    page.goto(f"{base}/approvals/{proposal.id}")
    assert "allekirjoitettu pääsyavaimella" in text(page)
    sign_out(room)

    # The sequence of what a passkey opens ends with its removal; and a key that does not know its owner opens nothing.
    room.keys.send("WebAuthn.setUserVerified", {"authenticatorId": room.device, "isUserVerified": False})
    page.goto(f"{base}/sign-in")
    page.click("text=Kirjaudu pääsyavaimella")
    page.wait_for_selector("[data-fault]:not([hidden])")
    assert "Pääsyavain ei vastannut" in text(page)


def test_one_person_proves_again_approves_alone_and_is_marked(room: Room) -> None:
    page, base, world = room.watched.page, room.base, room.world
    enrol(room, "yksi")
    world.later(minutes=6)

    # A second passkey takes a recent proof: by the passkey there is.
    page.fill("section:has(#passkeys) > form [name=label]", "vara-avain")
    page.click("section:has(#passkeys) > form button")
    page.wait_for_url(f"{base}/prove?next=%2Faccount")
    page.click("text=Käytä pääsyavainta")
    page.wait_for_url(f"{base}/account")
    room.keys.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": room.device})
    options = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    room.keys.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.fill("section:has(#passkeys) > form [name=label]", "vara-avain")
    page.click("section:has(#passkeys) > form button")
    page.wait_for_selector("text=vara-avain")

    # Alone: it waits, says so, and is carried out after three days by the same signature.
    proposal = propose(room, "yksi")
    page.goto(f"{base}/approvals")
    page.click("table a")
    page.click("main button.main:text-is('Hyväksy')")
    page.click("text=Hyväksy pääsyavaimella")
    page.wait_for_url(f"{base}/approvals")
    assert "yhden henkilön päättämä" in text(page) and state(room, proposal) is ProposalState.WAITING
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    with world.archive.database.read() as unit:
        done = next(one for one in unit.audit.about(proposal.id, 9) if one.act is Act.CARRIED_OUT)
    assert done.detail["by_one_person"] and done.detail["proof"] == "passkey"
