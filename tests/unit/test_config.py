"""The configuration: examples load, keys are explained, faults name key and mend, secrets stay out."""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import time
from pathlib import Path

import pytest

from recvault.config import ConfigFault, Store, known_keys, load, read_secret, show

CONFIG = Path(__file__).parents[2] / "config"
EMBEDDED = CONFIG / "recvault.toml"
SYSTEMD = {"CREDENTIALS_DIRECTORY": "/run/credentials/recvault.service"}
UNSET_KEY = re.compile(r"^# (\"?[a-z_-]+\"? = |\[)", re.MULTILINE)


def write(folder: Path, text: str) -> Path:
    path = folder / "recvault.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fault_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigFault) as caught:
        load(write(folder, text), environ or {}, base=folder)
    return str(caught.value)


# -- shipped examples --------------------------------------------------------------------------------------


def test_the_embedded_example_says_exactly_what_holds_without_a_file(tmp_path: Path) -> None:
    assert load(EMBEDDED, {}, base=tmp_path) == load(None, {}, base=tmp_path)


@pytest.mark.parametrize("name", ["single-server.toml", "cluster.toml"])
def test_the_other_examples_load(name: str) -> None:
    config = load(CONFIG / name, SYSTEMD)
    assert config.store.kind == "s3"
    assert config.store.access_key_file == Path("/run/credentials/recvault.service/store-access-key")
    assert config.database.url.startswith("postgresql+psycopg://recvault@")
    assert {place.country for place in config.places.values()} == {"FI"}


def test_every_shipped_configuration_is_tested() -> None:
    shipped = {path.name for path in CONFIG.glob("*.toml")} - {"retention.toml"}
    assert shipped == {"recvault.toml", "single-server.toml", "cluster.toml"}


def test_every_key_is_explained_in_the_embedded_example() -> None:
    documented = tomllib.loads(UNSET_KEY.sub(r"\1", EMBEDDED.read_text(encoding="utf-8")))
    keys = {f"{section}.{key}" for section, table in documented.items() if section != "oidc" for key in table}
    keys |= {f"places.NAME.{key}" for key in documented["places"]["local"]}
    keys |= {f"oidc[].{key}" for key in documented["oidc"][0]}
    keys |= {f"oidc[].grants[].{key}" for key in documented["oidc"][0]["grants"][0]}
    text = EMBEDDED.read_text(encoding="utf-8")
    missing = [key for key in known_keys() if key not in keys and not key.startswith("keyring.replicas[]")]
    assert missing == []
    assert re.search(r"^replicas = .*# .*directory = .*place = ", text, re.MULTILINE)


def test_the_unset_keys_of_the_embedded_example_are_known() -> None:
    text = UNSET_KEY.sub(r"\1", EMBEDDED.read_text(encoding="utf-8"))
    said = tomllib.loads(text)
    keys = {f"oidc[].{key}" for key in said["oidc"][0]} | {
        f"oidc[].grants[].{key}" for key in said.pop("oidc")[0]["grants"][0]
    }
    keys |= {f"{section}.{key}" for section, table in said.items() for key in table}
    assert keys - set(known_keys()) == {"places.local", "keyring.replicas", "oidc[].grants"}


@pytest.mark.parametrize("line", [line for line in EMBEDDED.read_text().splitlines() if " = " in line])
def test_every_limit_names_its_unit(line: str) -> None:
    key, _, rest = line.removeprefix("# ").partition(" = ")
    units = {
        "_seconds": "second",
        "_minutes": "minute",
        "_hours": "hour",
        "_days": "day",
        "_mib": "MiB",
        "_kib": "KiB",
        "_gib": "GiB",
        "_percent": "per cent",
    }
    for ending, unit in units.items():
        if key.endswith(ending):
            assert unit in rest


# -- paths -------------------------------------------------------------------------------------------------


def test_paths_are_absolute_and_relative_to_what_the_example_says(tmp_path: Path) -> None:
    config = load(write(tmp_path, '[data]\ndirectory = "d"\n'), {}, base=tmp_path)
    assert config.data.directory == tmp_path / "d"
    assert config.database.url == f"sqlite:///{tmp_path}/d/recvault.db"
    assert config.store.path == tmp_path / "d" / "objects"
    assert config.keyring.directory == tmp_path / "recvault-keyring"
    assert config.retention.policy_file == tmp_path / "config" / "retention.toml"


def test_the_data_directory_of_the_environment_moves_what_lies_in_it(tmp_path: Path) -> None:
    config = load(None, {"RECVAULT__DATA__DIRECTORY": str(tmp_path / "e")}, base=tmp_path)
    assert config.store.path == tmp_path / "e" / "objects"
    assert config.database.is_sqlite


@pytest.mark.parametrize("directory", ["data", "data/deeper/..", ".", "keys/../data"])
def test_a_root_key_among_the_data_is_refused(tmp_path: Path, directory: str) -> None:
    told = fault_of(tmp_path, f'[data]\ndirectory = "{directory}"\n[keyring]\nroot_key_file = "data/root.key"\n')
    assert "keyring.root_key_file lies inside data.directory" in told


def test_a_root_key_behind_a_link_into_the_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "innocent").symlink_to(tmp_path / "data")
    told = fault_of(tmp_path, '[data]\ndirectory = "data"\n[keyring]\nroot_key_file = "innocent/root.key"\n')
    assert "lies inside data.directory" in told


def test_a_root_key_inside_a_replica_is_refused(tmp_path: Path) -> None:
    text = '[keyring]\nroot_key_file = "b/root.key"\nreplicas = [{ directory = "b", place = "local" }]\n'
    assert "lies inside keyring.replicas[0].directory" in fault_of(tmp_path, text)


# -- unknown keys and wrong values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[store]\nbuckt = "x"\n', "store.buckt is not known; did you mean store.bucket?"),
        ("[stores]\n", "stores is not known; did you mean store?"),
        ("[server]\nbatch_size = 5\n", "server.batch_size is not known; did you mean purge.batch_size?"),
        (
            "[purge]\nlease_secnods = 5\n",
            "purge.lease_secnods is not known; did you mean purge.lease_seconds?",
        ),
        ("[log]\nqqqqqqqq = 5\n", "log.qqqqqqqq is not known; known there: log.format, log.level"),
        ('[places.a]\ncontry = "FI"\n', "places.a.contry is not known; did you mean places.NAME.country?"),
        ('[store]\nprefix = "calls/"\n', "a bucket belongs to one archive alone"),
        ('[database]\npassword = "hunter2"\n', "name the file in database.password_file"),
        ('[server]\nport = "8470"\n', "server.port must be a whole number"),
        ("[server]\nport = 70000\n", "server.port must be at most 65535"),
        ("[server]\nport = true\n", "server.port must be a whole number"),
        ("[server]\nhost = 127\n", "server.host must be text in quotes"),
        ('[server]\nweb_enabled = "yes"\n', "server.web_enabled must be true or false"),
        (
            '[server]\ntrusted_proxies = ["10.0.0.1/8"]\n',
            "server.trusted_proxies[0] must be an address or a network",
        ),
        ('server = "here"\n', "server must be a table"),
        ("[keyring]\ncache_seconds = 61\n", "keyring.cache_seconds must be at most 60"),
        ("[store]\npart_size_mib = 4\n", "store.part_size_mib must be at least 5"),
        ('[store]\nkind = "disk"\n', "store.kind must be one of 'folder' or 's3'"),
        ('[store]\nkind = "s3"\n', "store of kind s3 also needs endpoint, region, bucket, access_key_file"),
        ('[store]\nbucket = "calls/2026"\n', "store.bucket must be the name of a bucket"),
        ('[store]\nendpoint = "https://s3.company.example"\n', "store.endpoint must be a host name"),
        ('[store]\nplace = "moon"\n', "store.place names no declared place"),
        ('[places.a]\ncountry = "Finland"\nsite = "x"\n', "places.a.country must be two capital letters"),
        ('[places.a]\ncountry = "FI"\n', "places.a.site is missing"),
        ("[residency]\nallowed_countries = []\n", "residency.allowed_countries must not be empty"),
        ('[residency]\nallowed_countries = "FI"\n', "residency.allowed_countries must be a list"),
        ('[retention]\ntime_zone = "Helsinki"\n', "retention.time_zone must be a zone of the IANA database"),
        ('[purge]\nnightly_at = "25:00"\n', "purge.nightly_at must be a time of day"),
        ("[purge]\nsweep_age_hours = 12\n", "purge needs sweep_age_hours at least twice"),
        ('[access]\ncase_reference = "pattern"\n', "access takes case_pattern exactly when"),
        (
            '[access]\ncase_reference = "pattern"\ncase_pattern = "("\n',
            "case_pattern must be a regular expression",
        ),
        ('[access]\nreasons = ["Any Reason"]\n', "access.reasons[0] must be a short code"),
        ("[store\n", "is not TOML"),
    ],
)
def test_a_fault_names_the_file_the_key_and_the_mend(tmp_path: Path, text: str, told: str) -> None:
    message = fault_of(tmp_path, text)
    assert told in message
    assert str(tmp_path / "recvault.toml") in message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    lines = fault_of(tmp_path, "[server]\nport = 0\n[log]\nlevl = 1\n").splitlines()
    assert len(lines) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml", {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigFault, match="UTF-8"):
        load(tmp_path / "c.toml", {})


def test_a_configuration_cannot_be_changed_afterwards() -> None:
    config = load(None, {})
    with pytest.raises(ValueError, match="frozen"):
        config.server.port = 1  # type: ignore[misc]


# -- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("postgresql://recvault@127.0.0.1/recvault", True),
        ("postgresql://recvault@[::1]:5433/recvault", True),
        ("postgresql:///recvault?host=/run/postgresql", True),
        ("postgresql+psycopg://recvault@localhost/recvault", True),
        ("postgresql://recvault@db.company.example/recvault?sslmode=verify-full", True),
        ("postgresql://recvault@db.company.example/recvault?sslmode=require", False),
        ("postgresql://recvault@db.company.example/recvault", False),
        ("postgresql://recvault@127.0.0.1/recvault?host=db.company.example", False),
        ("postgresql:///recvault?hostaddr=192.0.2.1", False),
        ("postgresql:///recvault?service=other", False),
        ("postgresql://recvault:hunter2@127.0.0.1/recvault", False),
        ("postgresql://127.0.0.1/recvault?password=hunter2", False),
        ("postgresql://127.0.0.1", False),
        ("mysql://127.0.0.1/recvault", False),
        ("sqlite:///:memory:", False),
        ("sqlite://", False),
        ("postgresql://[::1/recvault", False),
    ],
)
def test_a_database_is_local_or_behind_verified_tls_and_has_no_password(url: str, ok: bool) -> None:
    environ = {"RECVAULT__DATABASE__URL": url}
    if ok:
        assert load(None, environ).database.url.startswith("postgresql+psycopg://")
        return
    with pytest.raises(ConfigFault, match=r"database\.url must") as caught:
        load(None, environ)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("https://archive.company.example", True),
        ("https://archive.company.example:8443/", True),
        ("http://127.0.0.1:8470", True),
        ("http://archive.company.example", False),
        ("https://user@archive.company.example", False),
        ("https://archive.company.example/path", False),
        ("archive.company.example", False),
        ("https://archive.company.example:99999", False),
    ],
)
def test_the_public_address_is_plain_https(url: str, ok: bool) -> None:
    environ = {"RECVAULT__SERVER__PUBLIC_URL": url}
    if ok:
        assert load(None, environ).server.public_url == url.rstrip("/")
        return
    with pytest.raises(ConfigFault, match=r"server\.public_url must"):
        load(None, environ)


@pytest.mark.parametrize(
    ("endpoint", "ok"),
    [
        ("S3.Company.example", True),
        ("s3.company.example:9000", True),
        ("127.0.0.1:7480", True),
        ("[::1]:7480", True),
        ("user@s3.company.example", False),
        ("s3.company.example/", False),
        ("s3.company.example:", False),
        ("s3 company", False),
        ("[::1", False),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(endpoint: str, ok: bool) -> None:
    environ = {"RECVAULT__STORE__ENDPOINT": endpoint}
    if ok:
        assert load(None, environ).store.endpoint == endpoint.lower()
        return
    with pytest.raises(ConfigFault, match=r"store\.endpoint must"):
        load(None, environ)


@pytest.mark.parametrize(("endpoint", "ok"), [("127.0.0.1:7480", True), ("[::1]:7480", True), ("10.0.0.1", False)])
def test_only_a_store_on_loopback_goes_without_tls(endpoint: str, ok: bool) -> None:
    values = {"kind": "s3", "endpoint": endpoint, "region": "fi", "bucket": "calls", "tls": False}
    secrets = {"access_key_file": "a", "secret_key_file": "b"}
    if ok:
        assert not Store.model_validate(values | secrets).tls
        return
    with pytest.raises(ValueError, match="only a store on loopback"):
        Store.model_validate(values | secrets)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"host": "smtp.company.example"}, "mail also needs sender"),
        ({"host": "smtp.company.example:587"}, "the port has a key of its own"),
        ({"host": "smtp.company.example", "sender": "a@b.example", "security": "none"}, "only a server on loopback"),
        ({"host": "smtp.company.example", "sender": "a@b.example", "user": "x"}, "user and password_file together"),
        ({"password_file": "x"}, "user and password_file together"),
        ({"sender": "Archive a@b.example"}, "mail.sender must be a mail address"),
        ({"sender": "A\nBcc: c@d.example <a@b.example>"}, "mail.sender must be a mail address"),
        ({"sender": '"A" <a@b.example>'}, "mail.sender must be a mail address"),
        ({"alarms_to": "a@b.example,c@d"}, ""),
        ({"alarms_to": "a@b.example,c d@e.example"}, "mail.alarms_to[1] must be a mail address"),
        ({"digest_to": "ä@b.example"}, "mail.digest_to[0] must be a mail address"),
        ({"digest_at": "7.30"}, "mail.digest_at must be a time of day"),
        ({"language": "sv"}, "mail.language must be"),
        ({"public_url": "http://archive.company.example"}, "mail.public_url must begin with https://"),
        ({"host": "127.0.0.1", "sender": "Arkisto Ä <a@b.example>", "security": "none"}, ""),
        ({"password": "hunter2"}, "mail.password is not known"),
    ],
)
def test_outgoing_mail(changes: dict[str, str], told: str) -> None:
    environ = {f"RECVAULT__MAIL__{name.upper()}": value for name, value in changes.items()}
    if not told:
        load(None, environ)
        return
    with pytest.raises(ConfigFault) as caught:
        load(None, environ)
    assert told in str(caught.value) and "hunter2" not in str(caught.value)


# -- environment -------------------------------------------------------------------------------------------


def test_the_environment_goes_over_the_file_with_the_right_types(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1000\n")
    config = load(
        path,
        {
            "RECVAULT__SERVER__PORT": "2000",
            "RECVAULT__SERVER__WEB_ENABLED": "false",
            "RECVAULT__SERVER__HOST": "127.0.0.2",
            "RECVAULT__RESIDENCY__ALLOWED_COUNTRIES": "FI, SE",
            "RECVAULT__ACCESS__REASONS": '["claim"]',
            "RECVAULT__CONTROLLER__BUSINESS_ID": "12345671",
            "RECVAULT__PURGE__NIGHTLY_AT": "03:15",
            "RECVAULT__PLACES__LOCAL__COUNTRY": "SE",
            "RECVAULT__PLACES__LOCAL__SITE": "7",
            "RECVAULT__STORE__RETRIES": "0",
            "RECVAULT_CONFIG": "not ours",
        },
    )
    assert (config.server.port, config.server.web_enabled, config.server.host) == (2000, False, "127.0.0.2")
    assert config.residency.allowed_countries == ("FI", "SE")
    assert config.access.reasons == ("claim",)
    assert config.controller.business_id == "12345671"
    assert config.purge.nightly_at == time(3, 15)
    assert (config.places["local"].country, config.places["local"].site) == ("SE", "7")
    assert config.store.retries == 0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RECVAULT__STORE__BUCKT", "x", "did you mean store.bucket?"),
        ("RECVAULT__PORT", "1", "RECVAULT__PORT: must be RECVAULT__SECTION__KEY"),
        ("RECVAULT__SERVER__PORT", "many", "server.port must be a whole number"),
        ("RECVAULT__SERVER__PORT", "8.5", "server.port must be a whole number"),
        ("RECVAULT__SERVER__WEB_ENABLED", "1", "server.web_enabled must be true or false"),
        ("RECVAULT__SERVER__PORT__X", "1", "server.port must be a whole number"),
        ("RECVAULT__DATABASE__PASSWORD", "hunter2", "name the file in database.password_file"),
    ],
)
def test_a_fault_of_the_environment_is_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigFault) as caught:
        load(None, {name: value})
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_environment_cannot_reach_through_a_value(tmp_path: Path) -> None:
    path = write(tmp_path, "[server]\nport = 1000\n")
    with pytest.raises(ConfigFault, match="does not lead to a key"):
        load(path, {"RECVAULT__SERVER__PORT__X": "1"})


# -- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../passwd", "", "a/b", ".hidden"])
def test_a_credential_is_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigFault, match=r"database\.password_file must be credential:NAME"):
        load(None, SYSTEMD | {"RECVAULT__DATABASE__PASSWORD_FILE": f"credential:{name}"})


def test_a_credential_without_systemd_is_refused() -> None:
    with pytest.raises(ConfigFault, match="CREDENTIALS_DIRECTORY is not set"):
        load(None, {"RECVAULT__DATABASE__PASSWORD_FILE": "credential:database-password"})


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes("salasana ä\n".encode())
    path.chmod(0o600)
    assert read_secret(path) == "salasana ä"


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (b"secret", 0o604, "chmod 600"),
        (b"secret", 0o620, "chmod 600"),
        (b"", 0o600, "one line"),
        (b"\n", 0o600, "one line"),
        (b"two\nlines", 0o600, "one line"),
        (b"\xff", 0o600, "UTF-8"),
        (b"x" * 4097, 0o600, "longer than 4096 bytes"),
    ],
)
def test_a_doubtful_secret_file_is_refused(tmp_path: Path, content: bytes, mode: int, told: str) -> None:
    path = tmp_path / "hidden"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigFault, match=told):
        read_secret(path)


def test_a_secret_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="cannot be read"):
        read_secret(tmp_path / "none")
    with pytest.raises(ConfigFault, match="not a file"):
        read_secret(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigFault, match="not a file"):
        read_secret(tmp_path / "pipe")


def test_what_is_shown_is_plain_and_masks_a_password_in_an_address() -> None:
    config = load(None, {"RECVAULT__CONTROLLER__CONTACT": "https://someone:hunter2@company.example"})
    shown = json.dumps(show(config))
    assert "hunter2" not in shown
    assert "https://someone:***@company.example" in shown
    assert set(show(config)) == {re.split(r"\.|\[", key)[0] for key in known_keys()}


def test_sizes_are_told_in_bytes_too() -> None:
    config = load(None, {})
    assert config.store.part_size_bytes == 8 * 1024**2
    assert config.ingest.buffer_bytes == 8 * 1024**2
    assert config.ingest.metadata_max_bytes == 65536
    assert config.ingest.content_max_bytes == 16 * 1024**3
    assert config.retention.zone.key == "Europe/Helsinki"


@pytest.mark.parametrize(("reference", "ok"), [("CASE-123456", True), ("CASE-123456x", False), ("", False)])
def test_a_case_reference_must_match_as_a_whole(reference: str, ok: bool) -> None:
    environ = {
        "RECVAULT__ACCESS__CASE_REFERENCE": "pattern",
        "RECVAULT__ACCESS__CASE_PATTERN": "CASE-[0-9]{6}",
    }
    assert load(None, environ).access.case_matches(reference) is ok


def test_content_must_fit_the_parts_of_an_upload() -> None:
    environ = {
        "RECVAULT__STORE__KIND": "s3",
        "RECVAULT__STORE__ENDPOINT": "127.0.0.1",
        "RECVAULT__STORE__REGION": "fi",
        "RECVAULT__STORE__BUCKET": "calls",
        "RECVAULT__STORE__ACCESS_KEY_FILE": "a",
        "RECVAULT__STORE__SECRET_KEY_FILE": "b",
        "RECVAULT__INGEST__CONTENT_MAX_GIB": "100",
    }
    with pytest.raises(ConfigFault, match="raise the part size"):
        load(None, environ)
    assert load(None, environ | {"RECVAULT__STORE__PART_SIZE_MIB": "16"}).ingest.content_max_gib == 100


# -- the root key in a token -------------------------------------------------------------------------------


def test_a_token_is_named_whole_or_not_at_all(tmp_path: Path) -> None:
    told = fault_of(tmp_path, '[keyring]\nroot = "pkcs11"\ntoken = "recvault"\n')
    assert "keyring root pkcs11 needs token_library and token_pin_file as well" in told
    text = '[keyring]\nroot = "pkcs11"\ntoken_library = "/usr/lib/p11.so"\ntoken = "recvault"\n'
    config = load(write(tmp_path, text + 'token_pin_file = "credential:token-pin"\n'), SYSTEMD)
    assert config.keyring.token_pin_file == Path("/run/credentials/recvault.service/token-pin")
    assert config.keyring.token_key == "recvault-root"


def test_a_pin_does_not_stand_in_the_configuration(tmp_path: Path) -> None:
    assert "keyring.token_pin is not known" in fault_of(tmp_path, '[keyring]\ntoken_pin = "4711"\n')


@pytest.mark.parametrize(
    ("server", "taken"),
    [
        ("", True),
        ('public_url = "http://127.0.0.1:8470"', True),
        ('public_url = "https://archive.company.example"', False),
        ('host = "10.0.0.5"', False),
        ('host = "10.0.0.5"\npublic_url = "https://archive.company.example"\nweb_enabled = false', True),
    ],
)
def test_second_factors_are_left_out_only_where_nobody_else_reaches_the_desk(
    tmp_path: Path, server: str, taken: bool
) -> None:
    text = f'[server]\n{server}\n[access]\nsecond_factor = "off"\n'
    if taken:
        assert load(write(tmp_path, text), {}, base=tmp_path).access.second_factor == "off"
    else:
        with pytest.raises(ConfigFault, match=r"access\.second_factor"):
            load(write(tmp_path, text), {}, base=tmp_path)
    assert load(None, {}, base=tmp_path).access.second_factor == "required"
