"""What codes are called in front of people. English here; the catalogues hold the other languages.

Keeps one word for one thing: every page takes its words from these tables. A code that is in no table is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from recvault.domain.access import Role


def N_(text: str) -> str:
    """Marks a text for translation and leaves it as it is (the name is the one that extractors of translations look for)."""
    return text


SIGN_IN_CHANGES: Mapping[str, str] = {
    "password-changed": N_("the password was changed"),
    "password-by-link": N_("the password was set by a link"),
    "totp-added": N_("an app was added"),
    "totp-removed": N_("the app was taken away"),
    "recovery-renewed": N_("recovery codes were renewed"),
    "recovery-used": N_("a recovery code was used"),
    "passkey-added": N_("a passkey was added"),
    "passkey-removed": N_("a passkey was removed"),
    "link-made": N_("a link to set a new password was made"),
    "reset-link-made": N_("a link to begin anew without second factors was made"),
    "factors-reset": N_("all second factors were taken away by that link"),
}

CHANNELS: Mapping[str, str] = {
    "call": N_("call"),
    "email": N_("e-mail"),
    "sms": N_("text message"),
    "chat": N_("instant message"),
}

DIRECTIONS: Mapping[str, str] = {
    "inbound": N_("inbound"),
    "outbound": N_("outbound"),
    "internal": N_("internal"),
}

PURPOSES: Mapping[str, str] = {
    "verification": N_("verification"),
    "training": N_("training"),
    "request": N_("request of a data subject"),
    "authority": N_("disclosure to an authority"),
}

ATTENTION: Mapping[str, str] = {
    "empty_content": N_("the recording is empty"),
    "starts_in_future": N_("the source says that it starts in the future"),
    "ends_before_start": N_("the source says that it ends before its start"),
    "time_unreadable": N_("the time given by the source could not be read"),
    "no_notice": N_("no privacy notice version was given"),
    "unknown_customer": N_("no customer was found"),
    "ambiguous_customer": N_("several customers match; choose one"),
    "unknown_agent": N_("the agent is not in the directory"),
    "number_not_recognised": N_("the number or address was not recognised"),
    "business_id_invalid": N_("the business id is not valid"),
    "identity_code_masked": N_("a personal identity code was hidden"),
    "unknown_field": N_("the source sent a field that is not known"),
    "value_not_understood": N_("the source sent a value that was not understood"),
    "media_type_differs": N_("the content is not of the announced media type"),
    "conflicting_content": N_("the source sent other content under the same id"),
    "overdue_on_arrival": N_("its retention period was over when it arrived"),
    "key_damaged": N_("its data key does not open: the database was damaged"),
    "facts_altered": N_("its facts were altered in the database; it is not destroyed until a person has looked"),
    "object_missing": N_("its recording is missing from the object store, or is another one"),
}

REASONS: Mapping[str, str] = {
    "complaint": N_("complaint"),
    "order-check": N_("checking an order"),
    "agreement-check": N_("checking an agreement"),
    "billing": N_("billing"),
    "claim": N_("claim"),
}

ROLES: Mapping[Role, str] = {
    Role.AGENT: N_("agent"),
    Role.VERIFIER: N_("verifier"),
    Role.TRAINER: N_("trainer"),
    Role.TRAINEE: N_("trainee"),
    Role.TEAM_LEAD: N_("team lead"),
    Role.PRIVACY_HANDLER: N_("privacy handler"),
    Role.APPROVER: N_("approver"),
    Role.AUDITOR: N_("auditor"),
    Role.ADMINISTRATOR: N_("administrator"),
}

PROPOSALS: Mapping[str, str] = {
    "release-hold": N_("release of a hold"),
    "end-purpose": N_("end of a purpose before its time"),
    "statutory-override": N_("keeping that the law demands"),
    "extend-suspension": N_("longer suspension of destruction"),
    "sweep-after-restore": N_("sweeping the store after a restore"),
    "accept-ledger-loss": N_("going on without lost entries of the ledger"),
    "grant-roles": N_("grant of roles"),
    "break-glass": N_("break-glass access"),
    "disclosure": N_("disclosure to an authority"),
}

DECISIONS: Mapping[str, str] = {
    "carried-out": N_("carried out"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "expired": N_("expired: nobody decided in time"),
}

HOLDS: Mapping[str, str] = {
    "hold": N_("hold"),
    "restriction": N_("restriction of processing"),
    "request": N_("open request"),
}

STAGES: Mapping[str, str] = {
    "shredded": N_("data key destroyed"),
    "inaccessible": N_("inaccessible"),
    "complete": N_("complete"),
}

TRIGGERS: Mapping[str, str] = {
    "retention": N_("the retention period ended"),
    "do_not_keep": N_("the customer asked not to be recorded"),
    "purpose_ended_early": N_("a purpose was ended before its time"),
    "ledger_replay": N_("destroyed again after a restore, as the ledger says"),
}

# Why a look at a communication was refused, by the code of the permission table.
REFUSALS: Mapping[str, str] = {
    "no-role": N_("None of your roles covers this. Ask for the role if your work needs it."),
    "purpose-missing": N_("Choose what you need it for."),
    "purpose-not-for-role": N_("Your role does not cover this purpose. Choose another purpose, or ask for the role."),
    "not-released": N_("It has not been released to you. Ask the trainer."),
    "not-own": N_("It is not one of your own contacts."),
    "out-of-scope": N_("It belongs to a team or queue outside your role."),
    "restricted": N_("Its processing is restricted. Ask the privacy handler."),
    "destroying": N_("It is being destroyed."),
    "not-authorised": N_(
        "No disclosure that is in force lets you do this here. Ask for one under Disclosures; when another person has approved "
        "it, give its id as the reference."
    ),
    "purpose-not-live": N_("It is no longer kept for this purpose. It may still be open for another one."),
}

# What other parts of the archive say that may reach a person here; translated by the sentence itself.
SENTENCES = (
    N_("a password has 12 to 1024 characters; longer is better"),
    N_("this password is one that everybody tries first; choose another"),
    N_("this password is little more than a name; choose another"),
    N_("this password is known from a breach elsewhere; choose another"),
    N_("the new password is the old one; choose another"),
    N_("the code is not the one that the app shows now; type the newest"),
    N_("your roles need a second factor, and this is the only one; add another before"),
    N_("recovery codes stand in for a second factor; add one first"),
    N_("this hold is released already"),
    N_("a proposal needs a reason of 1 to 500 characters"),
    N_("this is proposed already; look at it with 'recvault approval list'"),
    N_("your own proposal takes another person's approval; ask another approver"),
    N_("your decision waits until its delay is over; another approver can approve it before"),
    N_("another approver has approved it; it is carried out when its delay is over"),
    N_("another account of yours proposed this; it takes another person's approval"),
    N_("nobody approves a role for themselves; ask another approver"),
    N_("what is done for a data subject's request needs the reference of the request; give it"),
    N_("the report has changed since you looked at it; look again, then confirm"),
    N_("you have confirmed this week already"),
    N_("only the one who proposed it withdraws it; an approver refuses it"),
    N_("another account of yours proposed this; it takes another person's approval"),
    N_("another approver has approved it; it is carried out when its delay is over"),
    N_("this proposal has expired; propose it again"),
    N_("approving takes a passkey here, and your account has none; add one on your account's page"),
    N_("no passkey is registered for this account; use another factor"),
    N_("give your second factor first; a password alone adds no other"),
    N_("give the passkey a name of 1 to 60 characters, such as where it is kept"),
    N_("an account has at most 20 passkeys; remove one first"),
    N_("the passkey's answer cannot be read; begin again"),
    N_("the passkey's answer does not hold; begin again, or use another passkey"),
    N_("this passkey answer was used already or never asked for; begin again"),
    N_("this passkey answer belongs to another session or act; begin again"),
    N_("the passkey answered too late; begin again"),
    N_("this passkey is not registered here; use another, or register it"),
    N_("this passkey belongs to another account; use one of your own"),
    N_("the passkey signed another act than this one; look at it and approve again"),
    N_("the passkey did not verify who you are; use one with a PIN, fingerprint or face, and begin again"),
    N_(
        "this passkey counted backwards, so a copy of it may be in use; it is refused from now on: remove it, "
        "register another and tell the administrator"
    ),
    N_("a hold needs a reason of 1 to 500 characters"),
    N_("the review date must lie ahead; give a later date"),
    N_("opening for verification needs a case reference here"),
    N_("the case reference does not have the form that this archive asks for"),
    N_(
        "a case reference is 1 to 40 letters, digits and . _ / # -, and never a person's name, number or identity code; "
        "give the case's own id"
    ),
    N_("name what it covers: communications by their ids, or one customer and from when until when"),
    N_("what it covers ends before it begins; give a later end"),
    N_("some of these communications are not there; look for them again, and name those there are"),
    N_("there is no customer of this number; search for the customer first"),
    N_("there is no such communication"),
    N_("this communication has been destroyed"),
    N_("this playback has ended; open the communication again"),
    N_("this request came from another site; use the archive's own page"),
    N_("the cursor is not one of this search; begin again without it"),
    N_("searching needs a role that covers the purpose; choose another purpose or ask for the role"),
)
