"""What an issuer's answers are worth: each check against an issuer that breaks it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from recvault.adapters.oidc import GROUPS_MOST, Client, OidcIssuer
from recvault.adapters.oidc_http import ANSWER_BYTES
from recvault.adapters.oidc_tokens import LEEWAY_SECONDS, LOGOUT_EVENT, OLDEST_SECONDS
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain.access import Role, ScopeKind
from recvault.domain.federation import (
    Claims,
    FederationRefused,
    GroupGrant,
    IssuerRules,
    IssuerUnavailable,
    Reason,
    grants_of,
    identity_key,
    require_admitted,
)
from recvault.services.federation import Federation
from tests.servers.oidc_crooked import Crooked, crooked
from tests.support.archives import make_world

NONCE = "n" * 43
VERIFIER = "v" * 43
BACK = "https://archive.example/sign-in/oidc/crooked/callback"
Change = Callable[[dict[str, Any]], object]


class Meeting:
    """An issuer of the adapter and the crooked server behind it."""

    def __init__(self, server: Crooked, **client: Any) -> None:
        self.server = server
        self.clock = FixedClock()
        values: dict[str, Any] = {"client_id": "recvault", "secret": lambda: "s3cret&more"} | client
        rules = IssuerRules(name="crooked", issuer=server.issuer, label="Crooked", teams={})
        self.issuer = OidcIssuer(rules, Client(**values), clock=self.clock, entropy=SystemEntropy())

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good ID token; None takes one away."""
        moment = int(self.now.timestamp())
        found = {
            "iss": self.server.issuer,
            "sub": "matti",
            "aud": "recvault",
            "exp": moment + 300,
            "iat": moment,
            "nonce": NONCE,
        }
        return {name: value for name, value in (found | changes).items() if value is not None}

    def redeem(self, token: object, **answer: Any) -> Claims:
        self.server.token = lambda form: {"token_type": "Bearer", "access_token": "at", "id_token": token, **answer}
        return self.issuer.redeem(code="a code", verifier=VERIFIER, nonce=NONCE, back=BACK, now=self.now)

    def refuses(self, token: object, **answer: Any) -> None:
        with pytest.raises(FederationRefused) as caught:
            self.redeem(token, **answer)
        assert caught.value.why is Reason.NOT_VERIFIED


@pytest.fixture(scope="module")
def server() -> Iterator[Crooked]:
    with crooked() as server:
        yield server


@pytest.fixture
def meeting(server: Crooked) -> Iterator[Meeting]:
    fresh = Crooked(port=server.port)
    server.keys, server.metadata, server.pages = fresh.keys, {}, {}
    server.asked.clear()
    server.forms.clear()
    meeting = Meeting(server)
    yield meeting
    meeting.issuer.close()


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def part(value: object) -> str:
    return encoded(json.dumps(value).encode())


def half_hash(value: str) -> str:
    return encoded(hashlib.sha256(value.encode()).digest()[:16])


def test_a_good_answer_is_believed(meeting: Meeting) -> None:
    told = meeting.claims(
        groups=["qa", 7, ""],
        amr=["pwd", "mfa"],
        email="m@company.example",
        email_verified=True,
        at_hash=half_hash("at"),
    )
    claims = meeting.redeem(meeting.server.sign(told))
    assert claims.key == identity_key(meeting.server.issuer, "matti")
    assert claims.groups == {"qa"} and claims.amr == {"pwd", "mfa"} and claims.email == "m@company.example"
    (form,) = meeting.server.forms
    assert form == {
        "grant_type": "authorization_code",
        "code": "a code",
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }


def test_an_address_that_the_issuer_did_not_verify_is_none(meeting: Meeting) -> None:
    assert meeting.redeem(meeting.server.sign(meeting.claims(email="m@company.example"))).email is None
    told = meeting.claims(email="m@company.example", email_verified="true")
    assert meeting.redeem(meeting.server.sign(told)).email is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "https://elsewhere.example"}, id="another issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"aud": "somebody-else"}, id="for somebody else"),
        pytest.param({"aud": []}, id="for nobody"),
        pytest.param({"aud": ["recvault", "somebody-else"]}, id="for others too, party not named"),
        pytest.param({"aud": ["recvault", "x"], "azp": "x"}, id="for others too, made for them"),
        pytest.param({"azp": "somebody-else"}, id="made for somebody else"),
        pytest.param({"nonce": "m" * 43}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"sub": None}, id="nobody"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": 7}, id="subject that is a number"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"exp": "2099-01-01"}, id="an end that is no number"),
        pytest.param({"iat": None}, id="without a beginning"),
        pytest.param({"at_hash": half_hash("another")}, id="of another access token"),
        pytest.param({"at_hash": 7}, id="hash that is a number"),
    ],
)
def test_claims_that_are_not_ours_are_refused(meeting: Meeting, changes: dict[str, Any]) -> None:
    meeting.refuses(meeting.server.sign(meeting.claims(**changes)))


@pytest.mark.parametrize(
    ("exp", "iat", "nbf"), [(-61, -300, None), (300, -661, None), (300, 61, None), (300, 0, 120), (True, 0, None)]
)
def test_times_are_kept_to_within_a_minute(meeting: Meeting, exp: int, iat: int, nbf: int | None) -> None:
    moment = int(meeting.now.timestamp())
    told = meeting.claims(exp=exp if exp is True else moment + exp, iat=moment + iat, nbf=nbf and moment + nbf)
    meeting.refuses(meeting.server.sign(told))


def test_clocks_may_differ_by_a_minute(meeting: Meeting) -> None:
    moment = int(meeting.now.timestamp())
    assert meeting.redeem(meeting.server.sign(meeting.claims(exp=moment - 59, iat=moment + 59))).subject == "matti"


def test_a_token_without_a_signature_is_refused(meeting: Meeting) -> None:
    for name in ("none", "None", "NONE"):
        meeting.refuses(f"{part({'alg': name})}.{part(meeting.claims())}.")
    good = meeting.server.sign(meeting.claims())
    meeting.refuses(good[: good.rindex(".") + 1])
    meeting.refuses(good[:-8] + ("A" * 8))
    head, _, signature = good.split(".")
    meeting.refuses(f"{head}.{part(meeting.claims(sub='somebody else'))}.{signature}")


def test_a_public_key_is_no_shared_secret(meeting: Meeting) -> None:
    """The old confusion: HS256 with the published public key as the secret."""
    published = meeting.server.keys[0]
    assert isinstance(published, ECKey)
    for secret in (published.as_pem(private=False), b"s3cret&more"):
        said = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(meeting.claims())}"
        meeting.refuses(f"{said}.{encoded(hmac.digest(secret, said.encode(), 'sha256'))}")


def test_a_shared_secret_among_the_published_keys_verifies_nothing(meeting: Meeting) -> None:
    shared = OctKey.import_key({"kty": "oct", "k": "c2hhcmVkLXNlY3JldC1zaGFyZWQtc2VjcmV0", "kid": "shared"})
    keys = [shared.as_dict(private=True), meeting.server.keys[0].as_dict(private=False)]
    meeting.server.pages["/keys"] = (200, {}, json.dumps({"keys": keys}).encode())
    meeting.refuses(jwt.encode({"alg": "HS256", "kid": "shared"}, meeting.claims(), shared, algorithms=["HS256"]))


def test_a_key_that_nobody_published_is_refused_and_asked_for_once(meeting: Meeting) -> None:
    own = ECKey.generate_key("P-256", {"kid": "mallory"})
    meeting.issuer.check()
    for _ in range(5):
        meeting.refuses(meeting.server.sign(meeting.claims(), key=own))
    assert meeting.server.asked.count("/keys") == 1
    meeting.clock.advance(timedelta(seconds=61))
    for _ in range(5):
        meeting.refuses(meeting.server.sign(meeting.claims(), key=own))
    assert meeting.server.asked.count("/keys") == 2


def test_a_key_in_the_token_itself_is_not_taken(meeting: Meeting) -> None:
    own = ECKey.generate_key("P-256", {"kid": "first"})
    meeting.refuses(meeting.server.sign(meeting.claims(), key=own, jwk=own.as_dict(private=False)))


def test_keys_may_change_and_be_of_any_kind(meeting: Meeting) -> None:
    meeting.issuer.check()
    meeting.clock.advance(timedelta(seconds=61))
    kinds: tuple[tuple[Key, str], ...] = (
        (RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}), "RS256"),
        (OKPKey.generate_key("Ed25519", {"kid": "okp"}), "EdDSA"),
        (ECKey.generate_key("P-384", {"kid": "p384", "alg": "ES384"}), "ES384"),
    )
    for number, (key, algorithm) in enumerate(kinds, start=2):
        meeting.server.keys = [*meeting.server.keys, key]
        claims = meeting.redeem(meeting.server.sign(meeting.claims(), key=key, algorithm=algorithm))
        assert claims.subject == "matti" and meeting.server.asked.count("/keys") == number
        meeting.clock.advance(timedelta(seconds=61))


def test_a_key_for_another_use_verifies_nothing(meeting: Meeting) -> None:
    published = {**meeting.server.keys[0].as_dict(private=False), "use": "enc"}
    meeting.server.pages["/keys"] = (200, {}, json.dumps({"keys": [published]}).encode())
    meeting.refuses(meeting.server.sign(meeting.claims()))


@pytest.mark.parametrize("token", [None, 7, "", "a.b", "a.b.c", "é.é.é", "x" * 70_000, {"a": 1}])
def test_what_is_no_token_is_refused(meeting: Meeting, token: object) -> None:
    meeting.refuses(token)


def test_an_access_token_passed_off_as_an_id_token_is_refused(meeting: Meeting) -> None:
    meeting.refuses(meeting.server.sign(meeting.claims(), typ="at+jwt"))
    meeting.refuses(meeting.server.sign(meeting.claims(), typ="logout+jwt"))


def test_the_issuer_must_name_itself_as_configured(meeting: Meeting) -> None:
    meeting.server.metadata = {"issuer": f"{meeting.server.issuer}/"}
    with pytest.raises(IssuerUnavailable, match="names itself otherwise"):
        meeting.issuer.check()


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("address", [None, 7, "", "ftp://127.0.0.1/x", "http://elsewhere.example/x", "https://u@h/x"])
def test_addresses_must_be_as_safe_as_the_issuer(meeting: Meeting, name: str, address: object) -> None:
    meeting.server.metadata = {name: address}
    with pytest.raises(IssuerUnavailable, match=name):
        meeting.issuer.check()


def test_an_issuer_without_pkce_is_refused(meeting: Meeting) -> None:
    meeting.server.metadata = {"code_challenge_methods_supported": ["plain"]}
    with pytest.raises(IssuerUnavailable, match="S256"):
        meeting.issuer.check()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param((302, {"Location": "/elsewhere"}, b""), id="a redirect"),
        pytest.param((200, {}, b"<html>"), id="no JSON"),
        pytest.param((200, {}, b"[1]"), id="no object"),
        pytest.param((200, {}, b"[" * 100_000), id="a deep nest"),
        pytest.param((200, {}, b" " * (ANSWER_BYTES + 1)), id="too long"),
        pytest.param((500, {}, b"{}"), id="a fault"),
        pytest.param((200, {"Content-Length": "10"}, b"{}"), id="cut short"),
    ],
)
def test_descriptions_that_are_none_are_refused(meeting: Meeting, page: tuple[int, dict[str, str], bytes]) -> None:
    meeting.server.pages["/.well-known/openid-configuration"] = page
    with pytest.raises(IssuerUnavailable):
        meeting.issuer.check()
    assert "/elsewhere" not in meeting.server.asked


def test_a_key_set_without_a_key_is_refused(meeting: Meeting) -> None:
    for content in (b"{}", b'{"keys": 7}', b'{"keys": [7, {}, {"kty": "what"}]}'):
        meeting.server.pages["/keys"] = (200, {}, content)
        with pytest.raises(IssuerUnavailable, match="no key"):
            meeting.issuer.check()


def test_an_issuer_that_is_away_is_told_of(meeting: Meeting) -> None:
    gone = Meeting(Crooked(port=1))
    with pytest.raises(IssuerUnavailable, match="cannot be reached"):
        gone.issuer.authorization_url(state="s", nonce="n", verifier=VERIFIER, back=BACK, max_age=timedelta(hours=1))
    gone.issuer.close()


def test_a_code_that_the_issuer_refuses_is_refused(meeting: Meeting) -> None:
    meeting.refuses(None, error="invalid_grant", error_description="matti has used it")
    with pytest.raises(IssuerUnavailable, match="client_id"):
        meeting.redeem(None, error="invalid_client")


def test_a_description_is_asked_for_again_after_an_hour(meeting: Meeting) -> None:
    for _ in range(3):
        meeting.issuer.check()
    assert meeting.server.asked.count("/.well-known/openid-configuration") == 1
    meeting.clock.advance(timedelta(hours=1))
    meeting.issuer.check()
    assert meeting.server.asked.count("/.well-known/openid-configuration") == 2


def test_the_answer_names_its_issuer_where_it_always_does(meeting: Meeting) -> None:
    meeting.issuer.require_itself(None)
    meeting.issuer.require_itself(meeting.server.issuer)
    with pytest.raises(FederationRefused):
        meeting.issuer.require_itself("https://elsewhere.example")
    meeting.server.metadata = {"authorization_response_iss_parameter_supported": True}
    meeting.clock.advance(timedelta(hours=1))
    with pytest.raises(FederationRefused):
        meeting.issuer.require_itself(None)


def test_when_the_person_was_asked_is_for_the_issuer_to_say(meeting: Meeting) -> None:
    moment = int(meeting.now.timestamp())

    def proved(told: object) -> datetime | None:
        return meeting.redeem(meeting.server.sign(meeting.claims(auth_time=told))).proved_at

    assert proved(moment - 3600) == meeting.now - timedelta(hours=1)
    assert proved(moment + 30) == meeting.now
    for told in (None, True, "now", -1, moment + 3600):
        assert proved(told) is None


def test_the_issuer_is_told_how_old_a_proof_may_be(meeting: Meeting) -> None:
    def asked(max_age: timedelta) -> str:
        return meeting.issuer.authorization_url(state="s", nonce="n", verifier=VERIFIER, back=BACK, max_age=max_age)

    assert "max_age=36000" in asked(timedelta(hours=10)) and "prompt" not in asked(timedelta(hours=10))
    assert "max_age=0" in asked(timedelta(0)) and "prompt=login" in asked(timedelta(0))


def test_userinfo_of_somebody_else_is_refused(meeting: Meeting) -> None:
    asking = Meeting(meeting.server, userinfo=True)
    meeting.server.pages["/userinfo"] = (200, {}, b'{"sub": "matti", "groups": ["qa"], "iss": "x", "amr": ["mfa"]}')
    asking.server.token = lambda form: {}
    claims = asking.redeem(meeting.server.sign(meeting.claims()))
    assert claims.groups == {"qa"} and claims.issuer == meeting.server.issuer and claims.amr == frozenset()
    meeting.server.pages["/userinfo"] = (200, {}, b'{"sub": "teppo", "groups": ["admins"]}')
    asking.refuses(meeting.server.sign(meeting.claims()))
    asking.issuer.close()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(ECKey.generate_key("P-256"), "ES256"), (OKPKey.generate_key("Ed25519"), "EdDSA")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_we_can_sign_who_we_are(meeting: Meeting, key: ECKey | OKPKey, algorithm: str) -> None:
    signing = Meeting(meeting.server, secret=None, key=lambda: key.as_pem(private=True).decode())
    signing.redeem(meeting.server.sign(meeting.claims()))
    form = meeting.server.forms[-1]
    assert form["client_id"] == "recvault" and "client_secret" not in form
    told = jwt.decode(form["client_assertion"], KeySet([key]), algorithms=[algorithm]).claims
    moment = int(meeting.now.timestamp())
    assert told["iss"] == told["sub"] == "recvault" and told["aud"] == meeting.server.issuer
    assert told["iat"] == moment and told["exp"] == moment + 60 and len(told["jti"]) == 32
    signing.issuer.close()


def logout(meeting: Meeting, **changes: Any) -> dict[str, Any]:
    moment = int(meeting.now.timestamp())
    found = {
        "iss": meeting.server.issuer,
        "aud": "recvault",
        "iat": moment,
        "exp": moment + 120,
        "jti": "j",
        "sub": "matti",
        "events": {LOGOUT_EVENT: {}},
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def test_a_logout_token_is_read(meeting: Meeting) -> None:
    token = meeting.server.sign(logout(meeting, sid="s1"), typ="logout+jwt")
    found = meeting.issuer.read_logout(token, meeting.now)
    assert found.key == identity_key(meeting.server.issuer, "matti") and found.sid is not None
    again = meeting.issuer.read_logout(meeting.server.sign(logout(meeting, sub="else"), typ="logout+jwt"), meeting.now)
    other = meeting.issuer.read_logout(meeting.server.sign(logout(meeting, jti="k"), typ="logout+jwt"), meeting.now)
    assert again.token == found.token != other.token
    assert found.until is not None and found.until >= meeting.now + timedelta(seconds=OLDEST_SECONDS + LEEWAY_SECONDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"events": None},
        {"events": {}},
        {"events": {LOGOUT_EVENT: 7}},
        {"nonce": NONCE},
        {"sub": None},
        {"jti": None},
        {"aud": "somebody-else"},
        {"iss": "https://elsewhere.example"},
        {"exp": 1},
        {"iat": 1},
    ],
    ids=str,
)
def test_what_is_no_logout_token_ends_nothing(meeting: Meeting, changes: dict[str, Any]) -> None:
    with pytest.raises(FederationRefused):
        meeting.issuer.read_logout(meeting.server.sign(logout(meeting, **changes)), meeting.now)


def test_a_logout_token_counts_once(meeting: Meeting) -> None:
    archive = make_world().archive
    federation = Federation(
        database=archive.database,
        keyring=archive.keyring,
        issuers=[meeting.issuer],
        sessions=archive.sessions,
        audit=archive.audit,
        clock=meeting.clock,
        entropy=SystemEntropy(),
        desk="https://archive.company.example",
        longest=timedelta(hours=12),
    )
    token = meeting.server.sign(logout(meeting), typ="logout+jwt")
    assert federation.end_from("crooked", token) == 0
    for wait in (0, OLDEST_SECONDS // 2):
        meeting.clock.advance(timedelta(seconds=wait))
        with pytest.raises(FederationRefused):
            federation.end_from("crooked", token)
    assert federation.end_from("crooked", meeting.server.sign(logout(meeting, jti="other"), typ="logout+jwt")) == 0


# --- shapes of well-known issuers, as their manuals show them

TENANT = "9122040d-6c67-4c5b-b112-36a304b66dad"
ENTRA = {
    "oid": "00000000-0000-0000-66f3-3332eca7ea81",
    "tid": TENANT,
    "ver": "2.0",
    "preferred_username": "matti@company.example",
    "aio": "Df2UVXL1ix!lMCWMSOJBcFatzcGfvFGhjKv8q5g0x732dR5MB5BisvGQO7YWByjd8iQDLq",
}
RULES = IssuerRules(
    name="crooked",
    issuer="https://login.example",
    label="",
    teams={},
    grants=(GroupGrant(group="desk", role=Role.TRAINER, scope=ScopeKind.ALL, values=frozenset()),),
)


def test_entra_id_with_few_groups(meeting: Meeting) -> None:
    found = meeting.redeem(meeting.server.sign(meeting.claims(**ENTRA, groups=["desk", "b0f1"])))
    assert found.groups == {"desk", "b0f1"} and not found.groups_elsewhere
    require_admitted(RULES, found)
    assert [one.role for one in grants_of(RULES, found, until=meeting.now)] == [Role.TRAINER]


@pytest.mark.parametrize(
    "changes",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example/groups"}}},
        {"_claim_names": {"groups": "src1"}, "groups": ["desk"]},
        {"hasgroups": True},
        {"groups": ["desk", *(f"{n}" for n in range(GROUPS_MOST))]},
    ],
    ids=["too-many", "contradiction", "implicit", "more-than-read"],
)
def test_groups_that_are_not_told_in_full_give_nothing(meeting: Meeting, changes: dict[str, Any]) -> None:
    found = meeting.redeem(meeting.server.sign(meeting.claims(**ENTRA, **changes)))
    with pytest.raises(FederationRefused, match="too many; ask the administrator") as caught:
        require_admitted(RULES, found)
    assert caught.value.why is Reason.GROUPS_ELSEWHERE
    require_admitted(replace(RULES, grants=()), found)  # where no rule asks for groups, nothing is missing


@pytest.mark.parametrize("issuer", [f"https://login.example/{TENANT}/v2.0", "https://login.example/{tenantid}/v2.0"])
def test_the_issuer_of_another_tenant_is_another(meeting: Meeting, issuer: str) -> None:
    meeting.refuses(meeting.server.sign(meeting.claims(**ENTRA, iss=issuer)))


def test_groups_of_keycloak_are_paths_and_count_as_written(meeting: Meeting) -> None:
    told = {"groups": ["/company/desk", "offline_access"], "azp": "recvault", "typ": "ID", "sid": "3f7c"}
    found = meeting.redeem(meeting.server.sign(meeting.claims(**told)))
    assert grants_of(RULES, found, until=meeting.now) == (), "a path is not the name at its end"
    rule = replace(RULES.grants[0], group="/company/desk")
    assert len(grants_of(replace(RULES, grants=(rule,)), found, until=meeting.now)) == 1


@pytest.mark.parametrize(
    ("audience", "party", "good"),
    [
        (["recvault"], None, True),
        (["recvault", "account"], "recvault", True),
        (["recvault", "account"], None, False),
        (["account"], "recvault", False),
        ("account", "recvault", False),
        (["recvault", "account"], "account", False),
    ],
)
def test_audiences_of_keycloak(meeting: Meeting, audience: object, party: str | None, good: bool) -> None:
    token = meeting.server.sign(meeting.claims(aud=audience, azp=party))
    if good:
        assert meeting.redeem(token).subject == "matti"
    else:
        meeting.refuses(token)
