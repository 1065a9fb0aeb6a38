"""The words of outgoing mail, in Finnish and English: the one place where they stand.

Keeps: numbers, codes, times of day and links only; a text has no room for anything personal. Words are those of the desk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from recvault.domain.notices import Alarm, DayCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One language. ``alarms``: what is wrong and what to do, by name of the alarm; ``tasks`` likewise for what a task of
    the worker reports, by the part after the slash; ``counts``: the lines of the digest by name."""

    archive: str
    alarm: str
    began: str
    stands: str
    ended: str
    since: str
    mend: str
    look: str
    nothing_personal: str
    moment: str
    digest: str
    period: str
    other: str
    alarms: Mapping[str, tuple[str, str]]
    tasks: Mapping[str, tuple[str, str]]
    counts: Mapping[str, str]
    test: tuple[str, str]
    invitation: tuple[str, str]
    proposed: tuple[str, str]
    decided_alone: tuple[str, str]


FI = Words(
    archive="Arkisto",
    alarm="hälytys",
    began="alkoi",
    stands="jatkuu",
    ended="päättyi",
    since="alkanut",
    mend="Tee näin",
    look="Katso tarkemmin palvelimella komennolla 'recvault doctor', tai työpöydältä",
    nothing_personal="Viestissä ei ole henkilötietoja. Siihen ei tarvitse vastata.",
    moment="{at.day}.{at.month}.{at.year} klo {at.hour}.{at.minute:02}",
    digest="päivän yhteenveto",
    period="Ajalta {since} - {until}:",
    other="Työvaihe {task} ilmoittaa: {what} ({count}).",
    alarms={
        "overdue": (
            "Säilytysaika on päättynyt, mutta tuhoamatta on yhteydenottoja: {count}.",
            "varmista, että työprosessi on käynnissä ja säilytyssäännöt on allekirjoitettu",
        ),
        "no-worker": (
            "Työprosessi ei ole antanut merkkiä itsestään; mitään ei tuhota eikä valvontaloki etene.",
            "käynnistä 'recvault worker'",
        ),
        "audit-behind": (
            "Valvontalokin merkintöjä ei ole ketjutettu. Vanhin odottaa: {count} minuuttia.",
            "varmista, että työprosessi on käynnissä ja tietokanta vastaa",
        ),
        "place": ("Säilytyspaikka ei ole sallittu. Mitään ei oteta vastaan.", "palauta sallittu säilytyspaikka"),
        "store": ("Tallennustila ei vastaa. Tallenteita ei voi ottaa vastaan eikä avata.", "palauta yhteys siihen"),
        "database": ("Tietokanta ei vastaa. Arkisto ei toimi.", "palauta yhteys siihen"),
        "keyring": (
            "Avainrengas ei ole kaikissa paikoissaan ajan tasalla.",
            "palauta paikka, jota 'recvault doctor' nimeää; uudet avaimet odottavat sitä",
        ),
        "backup": (
            "Tietokannasta ei ole tuoretta tarkistettua varmuuskopiota. Edellisestä on tunteja: {count}.",
            "tarkista 'recvault backup' ja sen ajastus",
        ),
        "attention": ("Huomiota vaativia yhteydenottoja on paljon: {count}.", "käy ne läpi työpöydällä"),
        "policy-unsigned": (
            "Säilytyssääntöjä ei ole allekirjoitettu 14 päivään. Mitään ei tuhota.",
            "tietosuoja-asioiden hoitaja allekirjoittaa ne: recvault policy sign --as NIMI",
        ),
        "destruction-suspended": (
            "Tuhoaminen on keskeytetty.",
            "katso syy: recvault purge --dry-run; keskeytyksen päättää siihen oikeutettu henkilö",
        ),
        "decided-by-one-person": (
            "Yksi henkilö on päättänyt yksin asioita, jotka toteutetaan viiveen jälkeen: {count}.",
            "katso ne: recvault approval list --as NIMI; hyväksyjä voi hylätä, ehdottaja perua",
        ),
        "roles-approved": (
            "Rooleja, joilla pääsee sisältöön tai hyväksymään, tulee pian voimaan: {count}.",
            "katso ne: recvault approval list --as NIMI; hyväksyjä voi hylätä, ehdottaja perua ennen sitä",
        ),
        "break-glass": (
            "Hätäpääsy on voimassa. Näin monta: {count}.",
            "katso, kenellä ja miksi: recvault approval list --decided --as NIMI; se päättyy itsestään",
        ),
        "break-glass-sign-in": (
            "Hätätilin salasanalla on kirjauduttu viimeisen vuorokauden aikana. Tilejä: {count}.",
            "selvitä, kuka ja miksi: valvontalokin tapahtuma account:break-glass:used; vaihda sitten salasana",
        ),
        "unusual-listening": (
            "Tänään on kuunneltu tavallista paljon enemmän. Näin monta henkilöä: {count}.",
            "katso, ketkä ja mihin tarkoitukseen: recvault review --as NIMI viikon päätyttyä, sitä ennen valvontaloki",
        ),
        "access-review": (
            "Viikon pääsyraportti on valmis. Vahvistamatta tiiminvetäjiltä: {count}.",
            "tiiminvetäjä katsoo sen työpöydällä (Pääsyn seuranta) tai komennolla 'recvault review' ja vahvistaa",
        ),
        "approval-broken": (
            "Hyväksyttyjä ehdotuksia jäi toteuttamatta, koska niiden tiedot eivät vastaa sitä, mikä hyväksyttiin: {count}.",
            "selvitä, onko tietokantaa muutettu; ilmoita tietosuojavastaavalle",
        ),
        "passkey-suspect": (
            "Avainten laskureita on kulkenut taaksepäin, joten niistä voi olla kopioita: {count}.",
            "henkilö poistaa avaimen tilisivullaan ja rekisteröi uuden; selvitä, kenellä avain on ollut",
        ),
        "sign-in-failures": (
            "Monta epäonnistunutta kirjautumista samalle tunnukselle viimeisen tunnin aikana; tunnuksia: {count}.",
            "kysy, ovatko ne henkilön omia; vieraat odottavat, tutut laitteet pääsevät sisään",
        ),
    },
    tasks={
        "stopped_because": ("Tuhoaminen pysähtyi ennen alkuaan.", "katso syy: recvault purge --dry-run"),
        "stopped": (
            "Tuhoamatta jäi, koska päättymispäivä poikkeaa säilytyssäännöistä tai avaimia on jäljellä: {count}.",
            "selvitä, onko tietokantaa muutettu; ilmoita tietosuojavastaavalle",
        ),
        "unfinished": (
            "Tallennustilasta ei ole vielä saatu poistetuksi: {count}.",
            "varmista, että tallennustila vastaa; poistoa yritetään uudelleen",
        ),
        "differences": (
            "Arkisto poikkeaa siitä, mitä siinä pitäisi olla: {count}.",
            "katso 'recvault reconcile' ja selvitä erot",
        ),
        "came_back": (
            "Tuhottua sisältöä löytyi uudelleen ja poistettiin: {count}.",
            "selvitä, palauttiko joku tallennustilan kopion",
        ),
        "faults": (
            "Työvaihe {task} löysi vikoja: {count}.",
            "katso lokia; varmuuskopiosta, jossa on vikoja, ei voi palauttaa kaikkea",
        ),
        "failed": ("Työvaihe {task} ei ole onnistunut. Yrityksiä on kestänyt minuutteja: {count}.", "katso lokia"),
    },
    counts={
        "received": "otettu vastaan",
        "opened": "avattu",
        "destroyed": "tuhottu",
        "certified": "tuhoamistodistuksia (sisältö ei enää avattavissa)",
        "completed": "tuhoamistodistuksia (lopullisia)",
        "attention": "vaatii huomiota",
        "holds": "tuhoamiskieltoja",
        "overdue": "tuhoaminen myöhässä",
        "alarms": "hälytyksiä voimassa",
        "unsent": "sähköposteja lähettämättä",
    },
    test=("koeviesti", "Tämä on koeviesti. Arkiston sähköposti toimii tähän osoitteeseen."),
    invitation=(
        "salasanan asettaminen",
        (
            "Sinulle on avattu pääsy arkistoon, tai salasanasi uusitaan.\n\n"
            "Aseta salasana tästä linkistä {until} mennessä:\n{link}\n\n"
            "Linkki toimii kerran. Älä välitä sitä eteenpäin. Ellet odottanut tätä viestiä, ilmoita pääkäyttäjälle."
        ),
    ),
    proposed=(
        "ehdotus odottaa hyväksyjää",
        "Ehdotus ({kind}) odottaa toisen henkilön päätöstä {until} asti. Se näkyy tällä sivulla:\n{link}",
    ),
    decided_alone=(
        "yksi henkilö päätti yksin",
        (
            "Yksi henkilö on ehdottanut ja hyväksynyt asian ({kind}) yksin. Se toteutetaan {until} jälkeen, ellei sitä "
            "ennen peruta tai hylätä. Se näkyy tällä sivulla:\n{link}"
        ),
    ),
)

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

LANGUAGES: Mapping[str, Words] = {"fi": FI, "en": EN}


def moment(words: Words, at: datetime, zone: tzinfo) -> str:
    """Day and time of day in the archive's zone."""
    return words.moment.format(at=at.astimezone(zone))


def alarm_mail(
    words: Words,
    groups: Mapping[str, Sequence[Alarm]],
    *,
    desk: str,
    zone: tzinfo,
) -> tuple[str, str]:
    """Subject and text. ``groups``: alarms by ``began``, ``stands``, ``ended``; empty groups are left out."""
    told = {getattr(words, name): alarms for name, alarms in groups.items() if alarms}
    subject = ", ".join(f"{heading} ({len(alarms)})" for heading, alarms in told.items())
    lines: list[str] = []
    for heading, alarms in told.items():
        lines.append(f"{words.alarm.capitalize()} {heading}:")
        for alarm in alarms:
            what, mend = _told(words, alarm)
            lines.append(f"* {what} [{alarm.name}]")
            lines.append(f"  {words.since.capitalize()} {moment(words, alarm.began_at, zone)}.")
            if heading != words.ended:
                lines.append(f"  {words.mend}: {mend}.")
        lines.append("")
    return f"{words.archive}: {words.alarm} {subject}", "\n".join([*lines, *_foot(words, desk)])


def digest_mail(
    words: Words,
    counts: DayCounts,
    standing: Mapping[str, int | None],
    *,
    since: datetime,
    until: datetime,
    desk: str,
    zone: tzinfo,
) -> tuple[str, str]:
    """Subject and text of a day. ``standing``: numbers of this moment by name; None where a part did not answer."""
    numbers: dict[str, int | None] = {
        "received": counts.received,
        "opened": counts.opened,
        "destroyed": counts.destroyed,
        "certified": counts.certified,
        "completed": counts.completed,
        "holds": counts.holds,
        **standing,
    }
    width = max(len(told) for told in words.counts.values())
    period = words.period.format(since=moment(words, since, zone), until=moment(words, until, zone))
    lines = [period, ""]
    for name, told in words.counts.items():
        number = numbers[name]
        lines.append(f"  {told.ljust(width)}  {'?' if number is None else number:>8}")
    return f"{words.archive}: {words.digest}", "\n".join([*lines, "", *_foot(words, desk)])


def test_mail(words: Words) -> tuple[str, str]:
    """Subject and text that show that mail arrives."""
    return f"{words.archive}: {words.test[0]}", f"{words.test[1]}\n\n{words.nothing_personal}\n"


def invitation_mail(words: Words, *, link: str, until: datetime, zone: tzinfo) -> tuple[str, str]:
    """Subject and text that let one person in; the text is confidential."""
    text = words.invitation[1].format(link=link, until=moment(words, until, zone))
    return f"{words.archive}: {words.invitation[0]}", f"{text}\n"


def proposal_mail(
    words: Words, told: tuple[str, str], *, link: str, kind: str, until: datetime, zone: tzinfo
) -> tuple[str, str]:
    """Subject and text about a proposal: ``told`` is one of the two that ``words`` have."""
    text = told[1].format(link=link, kind=kind, until=moment(words, until, zone))
    return f"{words.archive}: {told[0]}", f"{text}\n\n{words.nothing_personal}\n"


def _told(words: Words, alarm: Alarm) -> tuple[str, str]:
    task, _, what = alarm.name.rpartition("/")
    known = words.tasks.get(what) if task else words.alarms.get(alarm.name)
    title, mend = known or (words.other, words.tasks["failed"][1])
    return title.format(count=alarm.count, task=task, what=what), mend


def _foot(words: Words, desk: str) -> list[str]:
    return [f"{words.look}: {desk}/", words.nothing_personal, ""]
