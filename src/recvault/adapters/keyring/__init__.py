"""The keyring on disk: sealed under a root key, the same in several places.

``records`` are the keys as values, ``sealed`` the bytes of the file, ``place`` one directory that holds
it, ``file`` the keyring over all places, ``kit`` the paper that brings it back.
"""
