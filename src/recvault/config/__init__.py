"""The configuration: one TOML file, overrides from the environment, secrets only as names of files.

A leaf: nothing of recvault is imported here, and only interfaces, bootstrap and adapters read it. Everything
is typed and frozen; an unknown key, a wrong type or two values that contradict each other raise
:class:`ConfigFault`, whose text names the key and the mend. Whether a place is allowed is not decided here
(residency does that).
"""

from __future__ import annotations

from recvault.config.loading import known_keys, load, show
from recvault.config.mail import Mail
from recvault.config.model import (
    Access,
    Config,
    Controller,
    Data,
    Database,
    Ingest,
    Keyring,
    Ledger,
    Log,
    Place,
    Purge,
    Replica,
    Residency,
    Retention,
    Server,
    Sources,
    Store,
    Telephony,
)
from recvault.config.oidc import Oidc, OidcGrant
from recvault.config.secrets import ConfigFault, read_secret

__all__ = [
    "Access",
    "Config",
    "ConfigFault",
    "Controller",
    "Data",
    "Database",
    "Ingest",
    "Keyring",
    "Ledger",
    "Log",
    "Mail",
    "Oidc",
    "OidcGrant",
    "Place",
    "Purge",
    "Replica",
    "Residency",
    "Retention",
    "Server",
    "Sources",
    "Store",
    "Telephony",
    "known_keys",
    "load",
    "read_secret",
    "show",
]
