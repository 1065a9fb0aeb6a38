"""What a language of outgoing mail consists of, and the mail in Finnish.

Keeps: numbers, codes, times of day and links only; a text has no room for anything personal. Words are those of the desk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
