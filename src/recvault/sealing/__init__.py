"""Sealing: bytes in, bytes out. No files, no network, no clock; randomness comes in as an argument or from
the library.

``container`` seals and opens whole streams, ``ranges`` opens parts of them, ``wrapping`` keeps data keys
under other keys, ``fields`` and ``manifest`` seal what stands in a communication's row, ``edge`` is what the
telephony host writes. The bytes of all of them are described in ``docs/FORMAT.md``; a change there is a new
version name, never a new meaning of an old one.
"""
