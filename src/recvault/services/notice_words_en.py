"""Outgoing mail in English; see ``notice_words`` for what it keeps."""

from __future__ import annotations

from recvault.services.notice_words import Words

EN = Words(
    archive="Archive",
    alarm="alarm",
    began="began",
    stands="still stands",
    ended="ended",
    since="since",
    mend="What to do",
    look="See more on the server with 'recvault doctor', or at the desk",
    nothing_personal="This message holds no personal data and needs no answer.",
    moment="{at:%Y-%m-%d} at {at:%H:%M}",
    digest="the day in numbers",
    period="From {since} to {until}:",
    other="The task {task} reports: {what} ({count}).",
    alarms={
        "overdue": (
            "Communications are still there although their retention period is over: {count}.",
            "see that the worker runs and that the retention policy is signed",
        ),
        "no-worker": (
            "No worker gives a sign of life; nothing is destroyed and the audit log stands still.",
            "start 'recvault worker'",
        ),
        "audit-behind": (
            "Entries of the audit log are not chained. The oldest has waited for {count} minutes.",
            "see that the worker runs and the database answers",
        ),
        "place": ("A place of storage is not allowed. Nothing is accepted.", "bring the allowed place back"),
        "store": ("The object store does not answer. Nothing can be accepted or opened.", "bring it back"),
        "database": ("The database does not answer. The archive is down.", "bring it back"),
        "keyring": (
            "The keyring is not in step in all its places.",
            "bring back the place that 'recvault doctor' names; new keys wait for it",
        ),
        "backup": (
            "There is no recent verified backup of the database. Hours since the last: {count}.",
            "look at 'recvault backup' and its timer",
        ),
        "attention": ("Many communications need attention: {count}.", "go through them at the desk"),
        "policy-unsigned": (
            "The retention policy has not been signed for 14 days. Nothing is destroyed.",
            "a privacy handler signs it: recvault policy sign --as NAME",
        ),
        "destruction-suspended": (
            "Destruction is suspended.",
            "see why: recvault purge --dry-run; a person who may do so ends the suspension",
        ),
        "decided-by-one-person": (
            "One person has decided alone what is carried out after a delay: {count}.",
            "look at it: recvault approval list --as NAME; an approver refuses it, its proposer withdraws it",
        ),
        "roles-approved": (
            "Roles that reach content or approve begin soon: {count}.",
            "look at them: recvault approval list --as NAME; until then an approver refuses, the proposer withdraws",
        ),
        "break-glass": (
            "Break-glass access is open: {count}.",
            "see whose and why: recvault approval list --decided --as NAME; it ends by itself",
        ),
        "break-glass-sign-in": (
            "Break-glass accounts signed in by password within the last day: {count}.",
            "find out who and why: the act account:break-glass:used in the audit log; then change the password",
        ),
        "unusual-listening": (
            "Today somebody listened much more than usual. People: {count}.",
            "see who and why: recvault review --as NAME when the week is over, before that the audit log",
        ),
        "access-review": (
            "The week's access review is ready. Team leads who have not confirmed it: {count}.",
            "a team lead looks at it at the desk (Access review) or with 'recvault review', and confirms it",
        ),
        "approval-broken": (
            "Approved proposals were not carried out, because they are not what was approved: {count}.",
            "find out whether the database was altered; tell the data protection officer",
        ),
        "passkey-suspect": (
            "Passkeys counted backwards, so copies of them may be about: {count}.",
            "the person removes it on the account's page and registers another; find out who has had it",
        ),
        "sign-in-failures": (
            "Many failed sign-ins to one account within the last hour; accounts: {count}.",
            "ask whether they are the person's own; strangers wait, devices that are known get in",
        ),
    },
    tasks={
        "stopped_because": ("Destruction stopped before it began.", "see why: recvault purge --dry-run"),
        "stopped": (
            "Not destroyed, because their end differs from the policy or keys are left: {count}.",
            "find out whether the database was altered; tell the data protection officer",
        ),
        "unfinished": (
            "Not yet gone from the object store: {count}.",
            "see that the store answers; it is tried again",
        ),
        "differences": (
            "The archive differs from what it should hold: {count}.",
            "look at 'recvault reconcile' and settle the differences",
        ),
        "came_back": (
            "Destroyed content was found again and deleted: {count}.",
            "find out whether somebody restored a copy of the store",
        ),
        "faults": (
            "The task {task} found faults: {count}.",
            "look at the log; not everything can be put back from a backup with faults",
        ),
        "failed": ("The task {task} has been failing for {count} minutes.", "look at the log"),
    },
    counts={
        "received": "received",
        "opened": "opened",
        "destroyed": "destroyed",
        "certified": "certificates (content out of reach)",
        "completed": "certificates (complete)",
        "attention": "need attention",
        "holds": "holds",
        "overdue": "overdue",
        "alarms": "alarms that stand",
        "unsent": "mails not sent",
    },
    test=("test message", "This is a test. Mail of the archive reaches this address."),
    invitation=(
        "set your password",
        (
            "You have been given access to the archive, or your password is being replaced.\n\n"
            "Set a password with this link until {until}:\n{link}\n\n"
            "The link works once. Do not pass it on. If you did not expect this message, tell an administrator."
        ),
    ),
    proposed=(
        "a proposal waits for an approver",
        "A proposal ({kind}) waits for another person's decision until {until}. It is on this page:\n{link}",
    ),
    decided_alone=(
        "one person decided alone",
        (
            "One person has proposed and approved something ({kind}) alone. It is carried out after {until}, unless it is "
            "withdrawn or refused before. It is on this page:\n{link}"
        ),
    ),
)
