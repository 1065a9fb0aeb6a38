"""The audit log in words: what each act is called, and how its details are told to a person.

Keeps: codes stay visible beside the words (they are what the files of the log hold); a detail without a label appears under
its code. What a value says is never translated, only how it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from recvault.domain.audit import Entry
from recvault.interfaces.web import words
from recvault.interfaces.web.languages import Wording
from recvault.interfaces.web.words import N_

ACTS: Mapping[str, str] = {
    "communication:content:stored": N_("recording stored"),
    "communication:content:stored-again": N_("sent again, stored already"),
    "communication:content:conflict": N_("other content under the same id kept aside"),
    "communication:content:stored-after-loss": N_("stored again after its row was lost"),
    "communication:content:resent-after-destruction": N_("sent again after its destruction, refused"),
    "communication:content:opened": N_("recording opened"),
    "communication:content:closed": N_("listening or reading ended"),
    "communication:content:open-refused": N_("opening refused"),
    "communication:index:searched": N_("search made"),
    "communication:index:viewed": N_("details viewed"),
    "communication:retention:do-not-keep": N_("marked not to be kept"),
    "communication:retention:do-not-keep-undone": N_("mark not to be kept taken back"),
    "communication:retention:moved": N_("end of keeping moved"),
    "communication:training:released": N_("released to a trainee"),
    "hold:hold:placed": N_("hold placed"),
    "hold:hold:released": N_("hold released"),
    "approval:proposal:proposed": N_("proposed for approval"),
    "approval:proposal:decided-by-one-person": N_("decided by one person"),
    "approval:proposal:carried-out": N_("approved act carried out"),
    "approval:proposal:carry-out-failed": N_("approved act could not be carried out"),
    "approval:proposal:refused": N_("proposal refused"),
    "approval:proposal:withdrawn": N_("proposal withdrawn"),
    "approval:proposal:reopened": N_("proposal opened again"),
    "approval:proposal:approved": N_("proposal approved"),
    "approval:proposal:expired": N_("proposal expired"),
    "approval:proposal:assertion-broken": N_("an approval did not verify when carried out"),
    "destruction:communication:shredded": N_("made unreadable for good"),
    "destruction:communication:inaccessible": N_("certified as inaccessible"),
    "destruction:communication:complete": N_("destruction certified as complete"),
    "destruction:communication:stopped": N_("destruction of one recording stopped"),
    "destruction:communication:resumed": N_("stopped recording put back to its retention"),
    "destruction:run:stopped": N_("run of destruction stopped"),
    "destruction:run:confirmed": N_("stopped run confirmed"),
    "destruction:run:suspended": N_("destruction suspended"),
    "destruction:run:suspension-extended": N_("suspension of destruction extended"),
    "destruction:run:resumed": N_("destruction resumed"),
    "destruction:forecast:made": N_("forecast of destruction signed"),
    "destruction:copy:examined": N_("a copy was examined for the destroyed"),
    "key:key:created": N_("key made"),
    "key:key:superseded": N_("key superseded"),
    "key:key:destroyed": N_("key destroyed"),
    "key:backup:confirmed": N_("backup of the keyring confirmed"),
    "key:place:added": N_("place of the keyring added"),
    "key:place:dropped": N_("place of the keyring dropped"),
    "key:place:lost": N_("place of the keyring lost"),
    "key:copy:taken": N_("offline copy of the keyring taken"),
    "key:copy:ended": N_("offline copy of the keyring ended"),
    "key:keyring:restored": N_("keyring restored"),
    "key:root:changed": N_("root key changed"),
    "key:root:destroyed": N_("former root key destroyed"),
    "register:customer:changed": N_("customer changed in the register"),
    "register:agent:changed": N_("agent changed in the register"),
    "register:relationship:ended": N_("customer relationship ended"),
    "register:relationship:resumed": N_("customer relationship resumed"),
    "account:source:added": N_("source added"),
    "account:source:revoked": N_("source revoked"),
    "account:source:refused": N_("source refused"),
    "account:source:certificate-added": N_("certificate bound to a source"),
    "account:source:certificate-removed": N_("certificate taken from a source"),
    "account:user:added": N_("account added"),
    "account:user:invited": N_("invitation made"),
    "account:user:password-set": N_("password set"),
    "account:user:person-linked": N_("account linked to a person"),
    "account:role:granted": N_("role granted or ended"),
    "account:role:break-glass-opened": N_("break-glass role opened"),
    "account:session:signed-in": N_("signed in"),
    "account:session:sign-in-failed": N_("sign-in failed"),
    "account:session:sign-in-refused": N_("sign-in refused for now"),
    "account:session:factor-failed": N_("second factor failed"),
    "account:session:signed-out": N_("signed out"),
    "account:session:proved": N_("proved again who they are"),
    "account:session:ended": N_("session ended"),
    "account:token:issued": N_("token made"),
    "account:token:revoked": N_("token revoked"),
    "account:review:read": N_("access review read"),
    "account:review:confirmed": N_("access review confirmed"),
    "account:passkey:added": N_("passkey added"),
    "account:passkey:removed": N_("passkey removed"),
    "account:passkey:refused": N_("passkey refused"),
    "account:identity:linked": N_("identity of an issuer linked"),
    "account:identity:unlinked": N_("identity of an issuer taken away"),
    "account:issuer:changed": N_("trusted issuers changed"),
    "account:break-glass:marked": N_("account marked for emergencies"),
    "account:break-glass:unmarked": N_("account no longer for emergencies"),
    "account:break-glass:used": N_("emergency account used"),
    "account:factor:added": N_("app for codes added"),
    "account:factor:removed": N_("app for codes taken away"),
    "account:factor:reset": N_("all second factors taken away"),
    "account:factor:recovery-renewed": N_("recovery codes renewed"),
    "policy:policy:signed": N_("retention policy signed"),
    "policy:policy:activated": N_("retention policy activated"),
    "policy:policy:applied": N_("retention policy applied"),
    "policy:facts:sealed": N_("facts of retention sealed"),
    "communication:retention:case-closed": N_("case closed"),
    "communication:retention:training-objected": N_("use in training objected to"),
    "communication:retention:purpose-ended": N_("purpose ended"),
    "communication:retention:purpose-end-withdrawn": N_("end of a purpose taken back"),
    "communication:retention:override-placed": N_("statutory keeping placed"),
    "communication:retention:override-ended": N_("statutory keeping ended"),
    "place:store:violated": N_("a place lies outside what is allowed"),
    "place:store:restored": N_("a place lies where it should again"),
    "store:object:swept": N_("objects that nothing names removed"),
    "store:archive:reconciled": N_("archive compared with its stores"),
    "store:archive:mended": N_("difference mended"),
    "store:sweep:resumed": N_("sweeping switched on again"),
    "backup:backup:made": N_("backup made"),
    "backup:backup:verified": N_("backup verified"),
    "ledger:entry:replayed": N_("ledger replayed"),
    "ledger:database:incarnation-changed": N_("another database found"),
    "ledger:end:loss-accepted": N_("loss of the ledger's end accepted"),
    "disclosure:authorisation:ended": N_("authorisation ended before its time"),
    "disclosure:authorisation:issued": N_("authorisation given"),
    "communication:content:limit-reached": N_("limit of listening reached"),
    "communication:content:unusual-listening": N_("unusual listening noticed"),
    "log:tree:begun": N_("the log's tree begun"),
    "log:tree:continued": N_("the log continued"),
    "log:entries:read": N_("audit log read"),
    "log:entries:exported": N_("audit log exported"),
    "log:entries:names-shown": N_("names of accounts shown in the log"),
    "log:entries:ended": N_("entries of the log ended"),
    "log:checkpoint:refused": N_("checkpoint refused"),
    "log:witness:refused": N_("witness refused a checkpoint"),
    "system:configuration:changed": N_("configuration changed"),
    "system:clock:jumped": N_("clock jumped"),
}

LABELS: Mapping[str, str] = {
    "reason": N_("reason"),
    "by": N_("by"),
    "until": N_("until"),
    "rows": N_("rows"),
    "purpose": N_("purpose"),
    "proposal": N_("proposal"),
    "count": N_("count"),
    "scope": N_("scope"),
    "opened": N_("opening"),
    "length": N_("bytes"),
    "first": N_("from byte"),
    "kind": N_("kind"),
    "issuer": N_("issuer"),
    "hold": N_("hold"),
    "event": N_("event"),
    "code": N_("code"),
    "role": N_("role"),
    "roles": N_("roles"),
    "person": N_("person"),
    "policy": N_("policy"),
    "number": N_("number"),
    "factor": N_("factor"),
    "ends_at": N_("ends"),
    "action": N_("act"),
    "batch": N_("batch"),
    "case": N_("case"),
    "channel": N_("channel"),
    "destroy_at": N_("to be destroyed"),
    "place": N_("place"),
    "attention": N_("to be looked at"),
    "subject": N_("subject"),
    "seconds": N_("seconds"),
    "size": N_("size"),
    "week": N_("week"),
    "authorisation": N_("authorisation"),
}

_ROLES = {role.value: title for role, title in words.ROLES.items()}

VALUES: Mapping[str, Mapping[str, str]] = {
    "attention": words.ATTENTION,
    "channel": words.CHANNELS,
    "purpose": words.PURPOSES,
    "kind": words.PROPOSALS,
    "role": _ROLES,
    "roles": _ROLES,
}
"""Details whose values are codes with words of their own."""

MOMENTS = frozenset({"destroy_at", "until", "ends_at"})
"""Details that say when."""


def details(entry: Entry, wording: Wording) -> Iterator[tuple[str, str]]:
    """Label and value of every detail that says something."""
    for name, value in entry.detail.items():
        if value not in (None, [], ""):
            yield wording.word(LABELS, name), _told(name, value, wording)


def _told(name: str, value: object, wording: Wording) -> str:
    if isinstance(value, list):
        return ", ".join(_told(name, one, wording) for one in value)
    if name in MOMENTS and isinstance(value, str):
        return _moment(value, wording)
    return wording.word(VALUES.get(name, {}), str(value))


def _moment(value: str, wording: Wording) -> str:
    """As people write it; as it stands where it is no moment with a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return wording.moment(moment) if moment.tzinfo else value
