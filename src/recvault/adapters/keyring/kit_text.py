"""The words of the recovery kit, in English and Finnish. Lines stay within 100 columns, to be printed as they are."""

from __future__ import annotations

PAGE = """\
RECVAULT RECOVERY KIT / RECVAULT-PALAUTUSSIVU

Id of the key on this page / Sivun avaimen tunnus: {id}
To copy, one line / Kopioitavaksi, yksi rivi:

{line}

To type, eight rows; the last two digits of each check it / Kirjoitettavaksi, kahdeksan riviä:

{rows}

Root key / Juuriavain:
- {root}
Places of the sealed keyring / Sinetöidyn avainnipun paikat:
{places}

IN ENGLISH

This key opens the archive's keyring. Whoever has it and a copy of keyring.sealed can open
every recording that still exists; without it nobody can, you included, once the root key is lost.

1. Print this page, then delete the file. Do not photograph it, send it or store it in the
   cloud.
2. Lock the paper away, not in the same place as copies of keyring.sealed. Two papers in two
   places are better.
3. Then run: recvault keys confirm-backup

To recover: type the eight rows into a new file that only the archive's user can read
(chmod 600), outside the data directory, and run: recvault keys restore --kit FILE
Where the keyring is lost too, add: --from COPY (the newest keyring.sealed or offline copy).
Then run: recvault keys status. What has been destroyed stays destroyed only if older copies of
keyring.sealed are not used: take the newest, destroy the rest. docs/KEYS.md tells more.

SUOMEKSI

Tämä avain avaa arkiston avainnipun. Se, jolla on avain ja kopio tiedostosta keyring.sealed, voi
avata kaikki vielä olemassa olevat tallenteet. Jos juuriavain häviää, ilman tätä sivua niitä ei
avaa kukaan, et sinäkään.

1. Tulosta tämä sivu ja poista sitten tiedosto. Älä valokuvaa, lähetä tai tallenna sitä pilveen.
2. Lukitse paperi talteen eri paikkaan kuin tiedoston keyring.sealed kopiot. Kaksi paperia
   kahdessa paikassa on parempi.
3. Suorita sitten: recvault keys confirm-backup

Palautus: kirjoita kahdeksan riviä uuteen tiedostoon, jonka vain arkiston käyttäjä voi lukea
(chmod 600), datahakemiston ulkopuolelle, ja suorita: recvault keys restore --kit TIEDOSTO
Jos avainnippukin on hävinnyt, lisää: --from KOPIO (uusin keyring.sealed tai sen kopio).
Suorita sitten: recvault keys status. Tuhottu pysyy tuhottuna vain, kun vanhempia kopioita
tiedostosta keyring.sealed ei käytetä: ota uusin ja hävitä muut. Lisää: docs/KEYS.md.
"""
