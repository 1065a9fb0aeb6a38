"""The recovery kit: a page with the root key, for a person to print and to lock away.

It is the one thing the archive writes that opens the keyring. It holds no other key, names no person, and
is refused where a copy of the data would carry it along.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recvault.adapters.keyring.file import FileKeyring
from recvault.adapters.root_keyfile import RootKeyFile, write_private
from recvault.domain.errors import KeyringError

_TEXT = """\
RECVAULT RECOVERY KIT / RECVAULT-PALAUTUSSIVU

Root key id / Juuriavaimen tunnus: {id}
Root key, one line / Juuriavain, yksi rivi:

{line}

Places of the sealed keyring / Sinetöidyn avainnipun paikat:
{places}

IN ENGLISH

This line opens the archive's keyring. Whoever has it and a copy of keyring.sealed can open
every recording that still exists; without it nobody can, you included.

1. Print this page, then delete the file. Do not photograph it, send it or store it in the
   cloud.
2. Lock the paper away, not in the same place as copies of keyring.sealed. Two papers in two
   places are better.
3. Then run: recvault keys confirm-backup

To recover: write the line into a new file that only the archive's user can read (chmod 600),
outside the data directory; set its path in the configuration; put the newest keyring.sealed
into the keyring's place (directory chmod 700, file chmod 600); run: recvault keys status. It
must show the root key id above. What has been destroyed stays destroyed only if older copies of
keyring.sealed are not used: take the newest, destroy the rest.

SUOMEKSI

Tämä rivi avaa arkiston avainnipun. Se, jolla on rivi ja kopio tiedostosta keyring.sealed, voi
avata kaikki vielä olemassa olevat tallenteet. Ilman riviä niitä ei avaa kukaan, et sinäkään.

1. Tulosta tämä sivu ja poista sitten tiedosto. Älä valokuvaa, lähetä tai tallenna sitä pilveen.
2. Lukitse paperi talteen eri paikkaan kuin tiedoston keyring.sealed kopiot. Kaksi paperia
   kahdessa paikassa on parempi.
3. Suorita sitten: recvault keys confirm-backup

Palautus: kirjoita rivi uuteen tiedostoon, jonka vain arkiston käyttäjä voi lukea (chmod 600),
datahakemiston ulkopuolelle. Aseta tiedoston polku asetuksiin. Vie uusin keyring.sealed
avainnipun paikkaan (hakemisto chmod 700, tiedosto chmod 600). Suorita: recvault keys status.
Sen on näytettävä yllä oleva tunnus. Tuhottu pysyy tuhottuna vain, kun vanhempia kopioita
tiedostosta keyring.sealed ei käytetä: ota uusin ja hävitä muut.
"""


def write_recovery_kit(path: Path, root: RootKeyFile, keyring: FileKeyring, *, outside: Iterable[Path] = ()) -> None:
    """Writes the page to a new file of mode 0600. KeyringError when the file exists, lies in one of
    ``outside``, or the root key is not this keyring's.
    """
    if root.id != keyring.root_id:
        raise KeyringError("this root key does not open this keyring; give the one from the configuration")
    if any(path.resolve().is_relative_to(directory.resolve()) for directory in outside):
        raise KeyringError(
            "the recovery kit must not lie inside the data, whose copies would carry it along; choose another path"
        )
    places = "\n".join(f"- {status.place}" for status in keyring.replicas())
    try:
        write_private(path, _TEXT.format(id=root.id, line=root.line(), places=places).encode())
    except OSError as fault:
        raise KeyringError(
            f"cannot write the recovery kit to {path}: {fault.strerror}; choose a new file in a writable directory"
        ) from fault
