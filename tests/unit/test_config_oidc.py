"""Issuers in the configuration: what is understood, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from recvault.bootstrap.federating import rules_of
from recvault.config import Config, ConfigFault, known_keys, load
from recvault.config.oidc import RoleName
from recvault.domain.access import Role, ScopeKind
from recvault.domain.federation import rules_digest

GOOD = """
[[oidc]]
name = "company"
label = "Company account"
issuer = "https://login.company.example/realms/one"
client_id = "recvault"
client_secret_file = "oidc.secret"
"""
GRANTS = """
entrusted_roles = ["trainer"]
[[oidc.grants]]
group = "qa"
role = "trainer"
scope = "teams"
[[oidc.grants]]
group = "audit"
role = "auditor"
[oidc.teams]
north = "Pohjoinen"
"""


def read(folder: Path, text: str) -> Config:
    path = folder / "recvault.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {}, base=folder)


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigFault) as caught:
        read(folder, text)
    return str(caught.value)


def test_an_issuer_is_read(tmp_path: Path) -> None:
    (section,) = read(tmp_path, GOOD + GRANTS).oidc
    assert section.client_secret_file == tmp_path / "oidc.secret" and section.scopes == ("openid", "profile")
    rules = rules_of(section)
    assert [(one.group, one.role, one.scope) for one in rules.grants] == [
        ("qa", Role.TRAINER, ScopeKind.TEAMS),
        ("audit", Role.AUDITOR, ScopeKind.ALL),
    ]
    assert rules.teams == {"north": "Pohjoinen"} and not rules.create and rules.second_factor_amr == frozenset()


def test_an_issuer_gives_the_roles_of_people(tmp_path: Path) -> None:
    assert set(get_args(RoleName)) == {role.value for role in Role} - {"source"}


def test_several_issuers_are_told_apart(tmp_path: Path) -> None:
    other = GOOD.replace("company", "partners")
    assert [one.name for one in read(tmp_path, GOOD + other).oidc] == ["company", "partners"]
    assert "same name" in fault_of(tmp_path, GOOD + GOOD)
    assert "same issuer" in fault_of(tmp_path, GOOD + GOOD.replace('name = "company"', 'name = "again"'))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("https://login.company", "http://login.company", "https"),
        ("https://login.company.example/realms/one", "https://user@login.company.example", "without user"),
        ("https://login.company.example/realms/one", "https://login.company.example/?x=1", "query"),
        ("https://login.company.example/realms/one", "https://login.company.example:x", "address"),
        ("https://login.company.example/realms/one", "login.company.example", "address"),
        ('name = "company"', 'name = "Company Oy"', "short code"),
        ('client_secret_file = "oidc.secret"', "", "one of client_secret_file and client_key_file"),
        ('client_id = "recvault"', 'client_id = ""', "oidc[0].client_id"),
        ('client_id = "recvault"', 'client_id = "x"\nclient_key_file = "k"', "one of"),
        ('client_id = "recvault"', 'client_id = "x"\nscopes = ["profile"]', "openid"),
        ('client_id = "recvault"', 'client_id = "x"\nclient_secret = "hunter2"', "oidc[].client_secret_file"),
        ('role = "trainer"', 'role = "superuser"', "oidc[0].grants[0].role"),
        ('role = "trainer"', 'role = "source"', "oidc[0].grants[0].role"),
        ('entrusted_roles = ["trainer"]', "", "entrusted_roles"),
        ('role = "auditor"', 'role = "administrator"', "entrusted_roles"),
        ('role = "auditor"', 'role = "auditor"\nscope = "queues"', "names of the queues"),
        ('role = "auditor"', 'role = "auditor"\nvalues = ["x"]', "values only with"),
        ('[oidc.teams]\nnorth = "Pohjoinen"', "", "[oidc.teams]"),
        ('north = "Pohjoinen"', "north = 7", "must be text"),
    ],
)
def test_faults_name_the_key_and_the_mend(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = GOOD + GRANTS
    assert old in text
    fault = fault_of(tmp_path, text.replace(old, new))
    assert told in fault and "hunter2" not in fault


def test_plain_http_is_for_loopback(tmp_path: Path) -> None:
    for address in ("http://127.0.0.1:9000", "http://localhost:9000/x", "http://[::1]:9000"):
        (section,) = read(tmp_path, GOOD.replace("https://login.company.example/realms/one", address)).oidc
        assert section.issuer == address


def test_break_glass_needs_an_issuer(tmp_path: Path) -> None:
    text = '[access]\nlocal_sign_in = "break-glass"\n'
    assert "needs an issuer" in fault_of(tmp_path, text)
    assert read(tmp_path, text + GOOD).access.local_sign_in == "break-glass"


def test_keys_of_lists_are_known() -> None:
    assert {"oidc[].issuer", "oidc[].grants[].role", "oidc[].teams"} <= set(known_keys())


def test_every_change_of_trust_changes_the_digest(tmp_path: Path) -> None:
    (before,) = read(tmp_path, GOOD + GRANTS).oidc
    digests = {rules_digest([rules_of(before)])}
    for old, new in (
        ("qa", "quality"),
        ('"auditor"', '"trainer"'),
        ("Pohjoinen", "Etelä"),
        ("realms/one", "realms/two"),
        ('scope = "teams"', 'scope = "teams"\nvalues = ["x"]'),
        ("entrusted", 'required_group = "staff"\nentrusted'),
        ("entrusted", 'email_domains = ["company.example"]\nentrusted'),
        ("entrusted", 'second_factor_amr = ["mfa"]\nentrusted'),
        ("entrusted", 'second_factor_acr = ["phr"]\nentrusted'),
        ("entrusted", "create = true\nentrusted"),
    ):
        (after,) = read(tmp_path, (GOOD + GRANTS).replace(old, new, 1)).oidc
        digests.add(rules_digest([rules_of(after)]))
    assert len(digests) == 11
