"""The one family of errors.

Every error carries a sentence for the person who meets it (what happened, and what to do about it) and a stable
``code``. Which HTTP status or exit code a class becomes is decided in one place of each interface, never here.
Error texts carry no personal data: they end up in logs.
"""

from __future__ import annotations

from datetime import timedelta


class RecvaultError(Exception):
    """Root of all errors raised on purpose. ``str(error)`` says what happened and what to do."""

    code = "error"


class InvalidInput(RecvaultError):
    """What was sent cannot be understood or contradicts itself; nothing was stored."""

    code = "invalid-input"


class TooLarge(InvalidInput):
    """A named limit was passed; the text says which one and its value."""

    code = "too-large"


class ContentMismatch(InvalidInput):
    """Length or digest differ from what the sender announced: the upload was cut or altered; send it again."""

    code = "content-mismatch"


class NotAuthenticated(RecvaultError):
    """No valid credential."""

    code = "not-authenticated"


class CertificateRequired(NotAuthenticated):
    """The token is right, and its source also has to show one of its client certificates (RFC 8705, 3, in spirit)."""

    code = "certificate-required"


class TooManyAttempts(RecvaultError):
    """Too many wrong passwords or codes; ``wait``: how long nothing more is tried."""

    code = "too-many-attempts"

    def __init__(self, wait: timedelta) -> None:
        self.seconds = max(1, -(-wait // timedelta(seconds=1)))
        super().__init__(f"there were too many wrong attempts; wait {self.seconds} seconds, then try again")


class Forbidden(RecvaultError):
    """The credential is valid, the act is not allowed to it. ``reason``: the permission table's code for why, if it was the
    table that refused."""

    code = "forbidden"
    reason = ""


class SecondFactorRequired(NotAuthenticated):
    """The password was right, and the person's roles need a second factor that this session has not."""

    code = "second-factor-required"


class StepUpRequired(Forbidden):
    """The act needs a proof of the person that is more recent. ``within``: how old it may be."""

    code = "step-up-required"

    def __init__(self, within: timedelta) -> None:
        super().__init__(
            f"this act needs that you proved who you are within the last {within // timedelta(minutes=1)} minutes; "
            "prove it again and repeat the act"
        )
        self.within = within


class LimitReached(RecvaultError):
    """A person did as much as is allowed in a span of time. ``retry_after_seconds``: when it begins anew; ``person``: the
    account, for the audit log."""

    code = "limit-reached"

    def __init__(self, text: str, *, retry_after_seconds: int, person: str) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds
        self.person = person


class NotFound(RecvaultError):
    """No such thing, or not for this person to know of."""

    code = "not-found"


class Conflict(RecvaultError):
    """The request contradicts what is stored already."""

    code = "conflict"


class ConflictKeptAside(Conflict):
    """Other content came under an id that is stored; it lies beside as ``kept_as`` until a person settles it."""

    def __init__(self, kept_as: str) -> None:
        super().__init__(
            f"this id is stored with other content; what was sent now is kept aside as {kept_as} for a person to settle; "
            "give each communication an id of its own"
        )
        self.kept_as = kept_as


class Destroyed(RecvaultError):
    """It was here and has been destroyed; it will not come back."""

    code = "destroyed"


class RangeNotSatisfiable(RecvaultError):
    """A byte range outside the recording (RFC 9110, 14.4). ``length`` is the recording's size in bytes."""

    code = "range-not-satisfiable"

    def __init__(self, length: int) -> None:
        super().__init__(f"the range lies outside the recording of {length} bytes; ask within it")
        self.length = length


class TransitionError(RecvaultError):
    """A change of state that the life cycle does not know."""

    code = "bad-transition"


class ConfigurationError(RecvaultError):
    """The configuration or policy cannot be used; the text names the key and the mend."""

    code = "configuration"


class ResidencyViolation(RecvaultError):
    """A store stands, or seems to stand, where the policy does not allow it, or would copy or keep data."""

    code = "residency"


class Unavailable(RecvaultError):
    """A part we need does not answer now; the same request may succeed later."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """The object store cannot be reached or answers with a server fault."""

    code = "store-unavailable"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached."""

    code = "database-unavailable"


class MailUnavailable(Unavailable):
    """The mail server cannot be reached, or puts us off; the same mail may go out later."""

    code = "mail-unavailable"


class MailPutOff(MailUnavailable):
    """The mail server answers and puts this one mail off for a while (RFC 5321, 4.2.1: 4yz), as greylisting does."""

    code = "mail-put-off"


class MailRefused(RecvaultError):
    """The mail server refused (certificate, sign-in, sender, recipient), and asking again will not help."""

    code = "mail-refused"


class DatabaseBehind(Unavailable):
    """The database knows less than the ledger outside it (a restore, a standby that lagged): it serves nothing until the
    ledger has been replayed."""

    code = "database-behind"


class StoreError(RecvaultError):
    """The object store refused, and asking again will not help."""

    code = "store"


class ObjectNotFound(StoreError):
    """The object store says that there is no such object. Never used for any other failure."""

    code = "object-not-found"


class Tampered(RecvaultError):
    """Authentication of sealed bytes failed: altered, truncated, swapped or sealed for another context."""

    code = "tampered"


class KeyringError(RecvaultError):
    """The keyring cannot be opened or written."""

    code = "keyring"


class KeyNotFound(KeyringError):
    """The key was never in this keyring."""

    code = "key-not-found"


class KeyDestroyed(KeyringError):
    """The key has been destroyed: what it wrapped is beyond reach."""

    code = "key-destroyed"


class AuditFailure(RecvaultError):
    """The audit log does not verify, or could not be written."""

    code = "audit"


class LedgerFailure(RecvaultError):
    """The ledger outside the database does not verify, or the database is behind it."""

    code = "ledger"


class BackupFailure(RecvaultError):
    """A backup could not be written, opened or put back."""

    code = "backup"


class CertificateInvalid(RecvaultError):
    """A certificate does not verify; the text says where."""

    code = "certificate"
