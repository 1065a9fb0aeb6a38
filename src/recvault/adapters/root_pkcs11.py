"""The root key in a PKCS#11 token (OASIS PKCS #11 3.1): an AES-256 key that never leaves it.

Each file of the keyring has a key of its own, made here and wrapped in the token (AES-256-GCM, associated data = format and
root key id); its handle is the wrapped key. Invariants: a key that can be taken out of its token is refused; the PIN is
read when a login needs it and not kept; a PIN that the token refused is not tried again by this process, and no PIN is
tried when the token says that one more error locks it, so that no restart loop locks a token.

A library is loaded once a process and asked by one thread at a time. It does not survive a fork: the child initialises it
anew at its first use. A token that was away is looked for again, with a new login, at the next use.

Left to others: where the PIN is (``pin`` gives it), who may reach the token, and copies of the token: a key that exists
once is lost with it, save for the recovery key on paper (``keyring.kit``).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from recvault.domain.errors import ConfigurationError, KeyringError, Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.system import Entropy
from recvault.sealing.wrapping import NONCE

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

SecretKey: TypeAlias = Any  # what a key can do, the package mixes in at run time
T = TypeVar("T")

_ID = 8
_KEY = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenSettings:
    """Which key: the library of the token's maker, the token's label, the key's label; ``pin`` reads the user's PIN."""

    library: Path
    token: str
    key: str
    pin: Callable[[], str] = field(repr=False)


class RootToken:
    """The root key ``settings.key`` in the token. KeyringError when it cannot be reached or is not fit."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self._id = self._with_key(_identity)

    @classmethod
    def create(cls, settings: TokenSettings, entropy: Entropy) -> RootToken:
        """Makes a new key in the token, not extractable; KeyringError when one of this label is there."""
        module = _module(settings.library)
        identity = entropy.bytes(_ID)

        def make(session: Session) -> None:
            if _keys_named(session, settings.key):
                raise KeyringError(
                    f"the token {settings.token} holds a key {settings.key}, which is not overwritten; use it, or choose "
                    "another label in keyring.token_key"
                )
            _generate(session, settings.key, identity)

        module.with_session(settings, make, writing=True)
        return cls(settings)

    @staticmethod
    def exists(settings: TokenSettings) -> bool:
        """Whether the token, which must be reachable, holds a key of this label."""
        return _module(settings.library).with_session(
            settings, lambda session: bool(_keys_named(session, settings.key))
        )

    @property
    def id(self) -> str:
        """The key's CKA_ID, 8 random bytes from its making, in hex; a copy of the token carries the same."""
        return self._id

    @property
    def place(self) -> str:
        """See ``keyring.root.RootKey``."""
        return f"the key {self._settings.key} in the token {self._settings.token}"

    def new_key(self, form: str, entropy: Entropy) -> tuple[bytes, bytes]:
        """See ``keyring.root.RootKey``; the handle is nonce and wrapped key, 60 bytes."""
        secret, nonce = entropy.bytes(_KEY), entropy.bytes(NONCE)
        aad = self._aad(form)
        return nonce + self._with_key(lambda key: _encrypt(key, secret, nonce, aad)), secret

    def key_of(self, handle: bytes, form: str) -> bytes:
        """See ``keyring.root.RootKey``."""
        aad = self._aad(form)
        secret = self._with_key(lambda key: _decrypt(key, handle[NONCE:], handle[:NONCE], aad))
        if len(secret) != _KEY:
            raise Tampered(_REFUSED)
        return secret

    def destroy(self) -> None:
        """Destroys the key in the token; repeating it is harmless. Copies of the token are to be destroyed as well."""
        settings = self._settings
        _module(settings.library).with_session(settings, lambda session: _destroy(session, settings.key), writing=True)

    def _aad(self, form: str) -> bytes:
        return canonical_json({"form": form, "root": self._id})

    def _with_key(self, use: Callable[[SecretKey], T]) -> T:
        settings = self._settings
        return _module(settings.library).with_session(settings, lambda session: use(_key_named(session, settings)))


_REFUSED = (
    "the token does not open this keyring file; it was altered, or another key took the root key's id: put back a copy"
)


class _Module:
    """One library in this process: its lock, its logins, and what tokens refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: set[bytes] = set()
        self.renew()

    def renew(self) -> None:
        """After a fork, or before the first use: nothing of before counts."""
        self.lock = threading.RLock()
        self.stale = True
        self.sessions: dict[str, Session] = {}

    def with_session(self, settings: TokenSettings, use: Callable[[Session], T], *, writing: bool = False) -> T:
        """Runs ``use`` on a session that is logged in; once more, from the beginning, when the token was away meanwhile."""
        pkcs11 = _library_package()
        with self.lock:
            try:
                return self._once(settings, use, writing=writing)
            except (pkcs11.PKCS11Error, _Gone, _Refused):
                self.stale = True
            try:
                return self._once(settings, use, writing=writing)
            except _Gone as fault:
                self.stale = True
                raise KeyringError(
                    f"the token {settings.token} holds no key {settings.key}; check keyring.token and keyring.token_key, or "
                    "restore the keyring under a new key with the recovery kit: recvault keys restore"
                ) from fault
            except _Refused as fault:
                raise Tampered(_REFUSED) from fault
            except pkcs11.PKCS11Error as fault:
                self.stale = True
                raise _told(settings, fault) from fault

    def _once(self, settings: TokenSettings, use: Callable[[Session], T], *, writing: bool) -> T:
        if self.stale:
            self._start()
        session = self.sessions.get(settings.token)
        if session is None:
            session = self._login(settings)
            self.sessions[settings.token] = session
        if not writing:
            return use(session)
        second = session.token.open(rw=True)  # the login holds for the whole process
        try:
            return use(second)
        finally:
            second.close()

    def _start(self) -> None:
        """C_Initialize, after C_Finalize where it was initialised: only this makes every library look for tokens again."""
        pkcs11 = _library_package()
        self.sessions.clear()
        try:
            library = pkcs11.lib(str(self.path))
            library.reinitialize()
        except pkcs11.PKCS11Error as fault:
            raise KeyringError(
                f"the token library {self.path} does not start ({_name(fault)}); check keyring.token_library, the "
                "configuration of the library itself, and that the token is connected"
            ) from fault
        self._library = library
        self.stale = False

    def _login(self, settings: TokenSettings) -> Session:
        pkcs11 = _library_package()
        token = self._find(settings)
        if token.flags & (pkcs11.TokenFlag.USER_PIN_LOCKED | pkcs11.TokenFlag.USER_PIN_FINAL_TRY):
            raise KeyringError(
                f"the token {settings.token} has seen so many wrong PINs that it is locked, or the next one locks it; log in "
                "once by hand with the right PIN, or have it unlocked, before recvault tries again"
            )
        pin = settings.pin()
        mark = hashlib.sha256(f"{settings.token}\0{pin}".encode()).digest()
        if mark in self.refused:
            raise _wrong_pin(settings)
        try:
            return token.open(user_pin=pin)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked) as fault:
            self.refused.add(mark)
            raise _wrong_pin(settings) from fault
        except pkcs11.UserAlreadyLoggedIn:
            return token.open()

    def _find(self, settings: TokenSettings) -> Token:
        found: list[Token] = list(self._library.get_tokens(token_label=settings.token))
        if len(found) != 1:
            raise KeyringError(
                f"{len(found) or 'no'} tokens with the label {settings.token} are connected, one is wanted; connect it, or set "
                "keyring.token to its label (softhsm2-util --show-slots, pkcs11-tool --list-slots)"
            )
        return found[0]


class _Gone(Exception):
    """No such key in the session: there is none, or the token went away under it."""


class _Refused(Exception):
    """The token did not decrypt."""


class _Guard:
    """The lock of what this process has loaded; a new one after a fork, since another thread may have held it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def renew(self) -> None:
        """In the child."""
        self.lock = threading.Lock()


_MODULES: dict[Path, _Module] = {}
_GUARD = _Guard()


def let_go() -> None:
    """Ends this process's logins; the next use begins anew and sees what the library's configuration says then."""
    with _GUARD.lock:
        for module in _MODULES.values():
            with module.lock:
                module.stale = True


def _module(path: Path) -> _Module:
    with _GUARD.lock:
        return _MODULES.setdefault(path, _Module(path))


def _after_fork() -> None:
    _GUARD.renew()
    for module in _MODULES.values():
        module.renew()


os.register_at_fork(after_in_child=_after_fork)


def _library_package() -> Any:
    try:
        import pkcs11
    except ModuleNotFoundError as fault:
        raise ConfigurationError(
            "keyring.root is pkcs11, but the package python-pkcs11 is missing; install recvault[pkcs11]"
        ) from fault
    return pkcs11


def _keys_named(session: Session, label: str) -> list[SecretKey]:
    pkcs11 = _library_package()
    wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: label}
    return list(session.get_objects(wanted))


def _destroy(session: Session, label: str) -> None:
    for key in _keys_named(session, label):
        key.destroy()


def _key_named(session: Session, settings: TokenSettings) -> SecretKey:
    found = _keys_named(session, settings.key)
    if not found:
        raise _Gone
    if len(found) > 1:
        raise KeyringError(
            f"the token {settings.token} holds {len(found)} keys {settings.key}; give all but the root key another label"
        )
    return found[0]


def _identity(key: SecretKey) -> str:
    """The key's id; KeyringError when it is not the kind of key that recvault makes."""
    attribute = _library_package().Attribute
    fit = key.key_length == 8 * _KEY and key[attribute.SENSITIVE] and not key[attribute.EXTRACTABLE]
    if not fit or len(key[attribute.ID]) != _ID:
        raise KeyringError(
            "the key in the token is not one that recvault made (AES-256, sensitive, not extractable, an id of 8 bytes); give "
            "another label in keyring.token_key and have recvault make its key"
        )
    return bytes(key[attribute.ID]).hex()


def _generate(session: Session, label: str, identity: bytes) -> None:
    pkcs11 = _library_package()
    attribute = pkcs11.Attribute
    session.generate_key(
        pkcs11.KeyType.AES,
        8 * _KEY,
        label=label,
        id=identity,
        store=True,
        capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
        template={attribute.SENSITIVE: True, attribute.EXTRACTABLE: False, attribute.PRIVATE: True},
    )


def _encrypt(key: SecretKey, secret: bytes, nonce: bytes, aad: bytes) -> bytes:
    pkcs11 = _library_package()
    return bytes(
        key.encrypt(secret, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=pkcs11.GCMParams(nonce, aad, 128))
    )


def _decrypt(key: SecretKey, wrapped: bytes, nonce: bytes, aad: bytes) -> bytes:
    """The key was found a moment ago: what fails here is the bytes, whatever word the library has for it."""
    pkcs11 = _library_package()
    try:
        parameters = pkcs11.GCMParams(nonce, aad, 128)
        return bytes(key.decrypt(wrapped, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=parameters))
    except (
        pkcs11.GeneralError,
        pkcs11.EncryptedDataInvalid,
        pkcs11.EncryptedDataLenRange,
        pkcs11.FunctionFailed,
    ) as fault:
        raise _Refused from fault


def _wrong_pin(settings: TokenSettings) -> KeyringError:
    return KeyringError(
        f"the token {settings.token} refuses the PIN; it is not tried again: write the right one into the file that "
        "keyring.token_pin_file names, then start again"
    )


def _told(settings: TokenSettings, fault: Exception) -> KeyringError:
    return KeyringError(
        f"the token {settings.token} does not answer as it should ({_name(fault)}); check that it is connected and that its "
        "library's service runs, and try again"
    )


def _name(fault: Exception) -> str:
    return f"{type(fault).__name__} {fault}".strip()
