"""Opens the root key and the keyring as the configuration names them, and joins what their ceremonies need.

Nothing here is audited or confirmed by a person: that is the commands' business (``interfaces.cli.keys``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recvault.adapters.keyring import (
    FileKeyring,
    Kit,
    KitKind,
    RootKey,
    kit_of,
    read_kit,
    recovery_public,
    write_page,
    write_recovery_kit,
)
from recvault.adapters.keyring.restoring import Restored, put_back, put_under
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.root_pkcs11 import RootToken, TokenSettings
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.config import Config, ConfigFault, read_secret
from recvault.domain.errors import ConfigurationError, InvalidInput, KeyringError
from recvault.domain.ports.system import Clock, Entropy

RootKind = Literal["keyfile", "pkcs11"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RootChoice:
    """Which root key: a key file by its path, or a key in the configured token by its label. What is None is as
    configured."""

    kind: RootKind
    key_file: Path | None = None
    token_key: str | None = None


def open_root_key(config: Config, *, create: bool = False) -> RootKey:
    """The configured root key; a file is refused inside anything whose copy would carry it along."""
    return root_key(config, RootChoice(kind=config.keyring.root), create=create)


def root_key(config: Config, choice: RootChoice, *, create: bool = False) -> RootKey:
    """The root key that is chosen. ``create`` makes it unless it is there."""
    if choice.kind == "pkcs11":
        settings = _token(config, choice.token_key)
        if create and not RootToken.exists(settings):
            return RootToken.create(settings, SystemEntropy())
        return RootToken(settings)
    path = choice.key_file or config.keyring.root_key_file
    if create and not path.exists():
        return RootKeyFile.create(path, entropy=SystemEntropy(), outside=keyless(config))
    return RootKeyFile(path, outside=keyless(config))


def keyless(config: Config) -> list[Path]:
    """Directories whose copies must not carry a root key or a kit along."""
    section = config.keyring
    outside = [config.data.directory, section.directory, *(replica.directory for replica in section.replicas)]
    if config.store.kind == "folder":
        outside.append(config.store.path)
    return outside


def open_keyring(config: Config, clock: Clock, entropy: Entropy, root: RootKey, *, create: bool = False) -> FileKeyring:
    """The keyring in its configured places."""
    section = config.keyring
    return FileKeyring(
        directory=section.directory,
        root=root,
        clock=clock,
        entropy=entropy,
        replicas=_others(config),
        place=section.place,
        cache_seconds=section.cache_seconds,
        create=create,
    )


def write_first_kit(config: Config, path: Path, keyring: FileKeyring, root: RootKey) -> None:
    """The recovery kit of a new keyring."""
    kit = kit_of(root, SystemEntropy())
    if (public := recovery_public(kit)) is not None:
        keyring.set_recovery(public)
    write_recovery_kit(path, kit, keyring, outside=keyless(config))


def change_root(config: Config, keyring: FileKeyring, choice: RootChoice, kit_file: Path) -> RootKey:
    """Puts the keyring under another root key, made unless it is there, and writes its kit into a new file before.

    Repeating it after a crash takes the root key and the kit that were made, and goes on.
    """
    new = root_key(config, choice, create=True)
    if new.id == keyring.root_id:
        raise InvalidInput(f"{new.place} is the root key already; name another file or another key label")
    kit = _kit_before(kit_file, new) or kit_of(new, SystemEntropy())
    if not kit_file.exists():
        write_page(
            kit_file,
            kit,
            root=new.place,
            places=[replica.place for replica in keyring.replicas()],
            outside=keyless(config),
        )
    keyring.change_root(new, recovery=recovery_public(kit))
    return new


def restore(
    config: Config,
    kit_file: Path,
    *,
    copy: Path | None,
    new_kit: Path | None,
    expired: bool,
    clock: Clock | None = None,
) -> tuple[FileKeyring, Restored]:
    """Brings the keyring back with a recovery kit, and with a copy where no place has it; opens it. KeyringError,
    InvalidInput.

    A kit with the root key writes the key file. A kit with the recovery key puts the keyring under the configured root
    key, which is made unless it is there, and writes the kit of that one into ``new_kit``.
    """
    kit = read_kit(_read(kit_file, 64 * 1024).decode("utf-8", "replace"))
    sealed = None if copy is None else _read(copy, 64 * 1024 * 1024)
    clock, entropy = clock or SystemClock(), SystemEntropy()
    places = {config.keyring.place: config.keyring.directory, **_others(config)}
    if kit.kind is KitKind.ROOT:
        root: RootKey = _root_from(config, kit)
        told = (
            Restored()
            if sealed is None
            else put_back(sealed, root=root, places=places, clock=clock, entropy=entropy, expired=expired)
        )
    else:
        if new_kit is None:
            raise InvalidInput("this kit ends with its use; name a file for the next one: --recovery-kit FILE")
        root = open_root_key(config, create=True)
        next_kit = _kit_before(new_kit, root) or kit_of(root, entropy)
        if not new_kit.exists():
            write_page(new_kit, next_kit, root=root.place, places=list(places), outside=keyless(config))
        told = put_under(
            root,
            private=kit.secret,
            copy=sealed,
            recovery=recovery_public(next_kit),
            places=places,
            clock=clock,
            entropy=entropy,
            expired=expired,
        )
    return open_keyring(config, clock, entropy, root), told


def _root_from(config: Config, kit: Kit) -> RootKeyFile:
    if config.keyring.root != "keyfile":
        raise ConfigurationError(
            "the kit holds the root key of a key file; set keyring.root to keyfile, restore, then change the root key"
        )
    path = config.keyring.root_key_file
    if not path.exists():
        written = RootKeyFile.write(path, kit.secret, outside=keyless(config))
        if kit.id is not None and written.id != kit.id:
            written.destroy()
            raise KeyringError(
                f"the key on the kit has the id {written.id}, the page says {kit.id}: both cannot be right; compare the typed "
                "text with the paper"
            )
        return written
    root = RootKeyFile(path, outside=keyless(config))
    if root.secret() != kit.secret:
        raise KeyringError(f"{path} holds another root key than the kit; move it away, then restore again")
    return root


def _kit_before(path: Path, root: RootKey) -> Kit | None:
    """The kit that an earlier, broken-off attempt wrote; KeyringError when the file is something else."""
    if not path.exists():
        return None
    kit = read_kit(_read(path, 64 * 1024).decode("utf-8", "replace"))
    fits = kit.secret == root.secret() if isinstance(root, RootKeyFile) else kit.kind is KitKind.RECOVERY
    if not fits:
        raise KeyringError(f"{path} holds the kit of another key; name a new file")
    return kit


def _others(config: Config) -> dict[str, Path]:
    return {replica.place: replica.directory for replica in config.keyring.replicas}


def _token(config: Config, key: str | None) -> TokenSettings:
    section = config.keyring
    library, pin_file = section.token_library, section.token_pin_file
    if library is None or pin_file is None or not section.token:
        raise ConfigurationError(
            "a root key in a token needs keyring.token_library, keyring.token and keyring.token_pin_file; set them"
        )

    def pin() -> str:
        try:
            return read_secret(pin_file)
        except ConfigFault as fault:
            raise KeyringError(f"the token's PIN: {fault}") from None

    return TokenSettings(library=library, token=section.token, key=key or section.token_key, pin=pin)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as fault:
        raise InvalidInput(f"{path} cannot be read: {fault.strerror}; name a file that this user can read") from None
    if len(data) > limit:
        raise InvalidInput(f"{path} is longer than {limit} bytes; is it the right file?")
    return data
