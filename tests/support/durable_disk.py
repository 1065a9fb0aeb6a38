"""A disk whose power fails: what a traced program wrote, and what of it is there afterwards.

``traced`` runs a program under strace(1) and reads back every call that changes files. ``Disk`` replays them one by one and
keeps apart what has been synced. ``Disk.survivor`` writes out what the machine may find when it comes up after a power cut at
this moment, as POSIX allows it and no kinder:

* a file's bytes: those of its last fsync; of what was written since, any of the writes, in no order;
* a directory's entries: those of its last fsync; of what was changed since, the first so many changes, each directory by
  itself (so a file that was renamed across directories may have two names, or none).

Left to others: what a disk does that lies about fsync, and faults of its blocks. A call that this does not know how to
replay stops the test.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_WATCHED = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,fallocate,truncate,ftruncate,"
    "fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir"
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<([^>]*)>)?.*")
_UNFINISHED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FILE = re.compile(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")

LEAST, MOST = "least", "most"


def strace_missing() -> str | None:
    """Why nothing can be traced here; None when it can."""
    try:
        done = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return "strace is missing; apt-get install -y --no-install-recommends strace"
    return f"strace may not trace here: {done.stderr.strip()}" if done.returncode else None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One finished call: its arguments as strace shows them, its result, and the path of a returned descriptor."""

    name: str
    arguments: tuple[str, ...]
    result: int
    returned: str | None

    @property
    def said(self) -> str | None:
        """What was written to standard output, if this call did."""
        if self.name != "write" or not self.arguments[0].startswith("1<"):
            return None
        return _bytes(self.arguments[1]).decode("utf-8", "replace").strip()


def traced(command: Sequence[str | Path], *, record: Path, cwd: Path, env: dict[str, str]) -> list[Call]:
    """Runs the program to its end, which must be a good one."""
    options = ["-f", "-y", "-xx", "-s", "16777216", "-e", f"trace={_WATCHED}", "-o", str(record)]
    done = subprocess.run(
        ["strace", *options, *map(str, command)],
        cwd=cwd, env=env, check=False, capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(_calls(record.read_text("ascii").splitlines()))


def _calls(lines: list[str]) -> Iterator[Call]:
    begun: dict[tuple[str, str], str] = {}
    for line in lines:
        if found := _UNFINISHED.fullmatch(line):
            begun[found[1], found[2]] = found[3]
            continue
        if found := _RESUMED.fullmatch(line):
            line = f"{found[1]} {found[2]}({begun.pop((found[1], found[2]))}{found[3]}"
        if (found := _LINE.fullmatch(line)) and int(found[4]) >= 0:
            returned = None if found[5] is None else _unhex(found[5]).decode()
            arguments = tuple(part.strip() for part in found[3].split(", "))
            yield Call(name=found[2], arguments=arguments, result=int(found[4]), returned=returned)


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _bytes(argument: str) -> bytes:
    found = _TEXT.fullmatch(argument)
    assert found and not found[2], f"not the whole of a text: {argument[:60]}"
    return _unhex(found[1])


@dataclass(eq=False)
class File:
    """``now`` is what programs see; ``changes`` are the writes (offset, bytes) and cuts (length, None) since the sync."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, offset: int, data: bytes | None) -> None:
        _change(self.now, offset, data)
        self.changes.append((offset, data))

    def sync(self) -> None:
        self.synced = bytes(self.now)
        self.changes.clear()

    def after(self, chance: Random | str) -> bytes:
        """What a power cut leaves."""
        left = bytearray(self.synced)
        for offset, data in self.changes:
            if chance == MOST or (isinstance(chance, Random) and chance.random() < 0.5):
                _change(left, offset, data)
        return bytes(left)


def _change(content: bytearray, offset: int, data: bytes | None) -> None:
    end = offset + len(data or b"")
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset:end] = data


@dataclass(eq=False)
class Directory:
    """``now`` is what programs see; ``changes`` are the entries set (or, None, removed) since the sync, in order."""

    now: dict[str, File | Directory] = field(default_factory=dict)
    synced: dict[str, File | Directory] = field(default_factory=dict)
    changes: list[tuple[str, File | Directory | None]] = field(default_factory=list)

    def set(self, name: str, entry: File | Directory | None) -> None:
        _set(self.now, name, entry)
        self.changes.append((name, entry))

    def sync(self) -> None:
        self.synced = dict(self.now)
        self.changes.clear()

    def after(self, chance: Random | str) -> dict[str, File | Directory]:
        """What a power cut leaves."""
        count = len(self.changes) if chance == MOST else 0
        if isinstance(chance, Random):
            count = chance.randint(0, len(self.changes))
        left = dict(self.synced)
        for name, entry in self.changes[:count]:
            _set(left, name, entry)
        return left


def _set(entries: dict[str, File | Directory], name: str, entry: File | Directory | None) -> None:
    entries.pop(name, None)
    if entry is not None:
        entries[name] = entry


class Disk:
    """What lies below ``base``; what is there already when this is made is taken to be synced."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._top = _read(base)
        self._offsets: dict[tuple[int, str | None], int] = {}

    # --- replaying

    def apply(self, call: Call) -> bool:
        """Replays a call (descriptors are told apart by number and path); False when it changed nothing below the base."""
        act = getattr(self, f"_on_{call.name}", None)
        if act is not None:
            return bool(act(call))
        touched = (_path_of(argument) for argument in call.arguments)
        assert not any(path and path.startswith(f"{self._base}/") for path in touched), f"cannot replay {call.name}"
        return False

    def _on_openat(self, call: Call) -> bool:
        path, flags = call.returned, call.arguments[2]
        if path is None or not self._is_below(path):
            return False
        assert "O_APPEND" not in flags, f"cannot replay appending to {path}"
        self._offsets.pop((call.result, path), None)
        if "O_CREAT" not in flags and "O_TRUNC" not in flags:
            return False
        above, name = self._above(path)
        entry = above.now.get(name)
        if entry is None:
            above.set(name, File())
        elif "O_TRUNC" in flags and isinstance(entry, File) and entry.now:
            entry.change(0, None)
        return True

    def _on_write(self, call: Call) -> bool:
        found = self._opened(call)
        if found is None:
            return False
        key = (int(call.arguments[0].partition("<")[0]), _path_of(call.arguments[0]))
        offset = self._offsets.get(key, 0)
        found.change(offset, _bytes(call.arguments[1])[: call.result])
        self._offsets[key] = offset + call.result
        return True

    def _on_pwrite64(self, call: Call) -> bool:
        found = self._opened(call)
        if found is not None:
            found.change(int(call.arguments[3]), _bytes(call.arguments[1])[: call.result])
        return found is not None

    def _on_ftruncate(self, call: Call) -> bool:
        found = self._opened(call)
        if found is not None:
            found.change(int(call.arguments[1]), None)
        return found is not None

    def _on_fsync(self, call: Call) -> bool:
        path = _path_of(call.arguments[0])
        if path is None or not (path == str(self._base) or self._is_below(path)):
            return False
        entry = self._find(path)
        if entry is not None:
            entry.sync()
        return entry is not None

    _on_fdatasync = _on_fsync  # it syncs the length as well, which is all that a reader sees of the rest

    def _on_mkdir(self, call: Call) -> bool:
        return self._place(self._named(call, 0, None), Directory())

    def _on_mkdirat(self, call: Call) -> bool:
        return self._place(self._named(call, 1, 0), Directory())

    def _on_rename(self, call: Call) -> bool:
        return self._move(self._named(call, 0, None), self._named(call, 1, None))

    def _on_renameat(self, call: Call) -> bool:
        return self._move(self._named(call, 1, 0), self._named(call, 3, 2))

    _on_renameat2 = _on_renameat

    def _on_link(self, call: Call) -> bool:
        source, target = self._named(call, 0, None), self._named(call, 1, None)
        return self._place(target, self._find(source))

    def _on_linkat(self, call: Call) -> bool:
        source, target = self._named(call, 1, 0), self._named(call, 3, 2)
        return self._place(target, self._find(source))

    def _on_unlink(self, call: Call) -> bool:
        return self._place(self._named(call, 0, None), None)

    _on_rmdir = _on_unlink

    def _on_unlinkat(self, call: Call) -> bool:
        return self._place(self._named(call, 1, 0), None)

    # --- finding

    def _named(self, call: Call, text: int, descriptor: int | None) -> str:
        """The whole path of an argument; programs here run with the base as their working directory."""
        path = _bytes(call.arguments[text]).decode()
        if path.startswith("/"):
            return path
        above = _path_of(call.arguments[descriptor]) if descriptor is not None else str(self._base)
        return f"{above}/{path}"

    def _is_below(self, path: str) -> bool:
        return path.startswith(f"{self._base}/")

    def _opened(self, call: Call) -> File | None:
        path = _path_of(call.arguments[0])
        if path is None or not self._is_below(path):
            return None
        found = self._find(path)
        assert isinstance(found, File), f"written before it was opened: {path}"
        return found

    def _find(self, path: str) -> File | Directory | None:
        entry: File | Directory | None = self._top
        for part in Path(path).relative_to(self._base).parts:
            entry = entry.now.get(part) if isinstance(entry, Directory) else None
        return entry

    def _above(self, path: str) -> tuple[Directory, str]:
        whole = Path(path)
        above = self._find(str(whole.parent))
        assert isinstance(above, Directory), f"there is no directory for {path}"
        return above, whole.name

    def _place(self, path: str, entry: File | Directory | None) -> bool:
        if not self._is_below(path):
            return False
        above, name = self._above(path)
        above.set(name, entry)
        return True

    def _move(self, source: str, target: str) -> bool:
        assert self._is_below(source) == self._is_below(target), "a file was renamed across the base"
        if not self._is_below(source):
            return False
        entry = self._find(source)
        self._place(target, entry)
        return self._place(source, None)

    # --- the power fails

    def survivor(self, target: Path, chance: Random | str) -> None:
        """Writes out what a power cut now leaves: LEAST or MOST of what is not synced, or some of it."""
        _write(self._top, target, chance)


def _path_of(argument: str) -> str | None:
    """The path that strace put beside a descriptor; None for what was deleted, and for what is none."""
    found = _FILE.fullmatch(argument)
    return None if found is None or found[2] else _unhex(found[1]).decode()


def _read(path: Path) -> Directory:
    found = Directory()
    for child in path.iterdir():
        if child.is_dir():
            found.now[child.name] = _read(child)
        else:
            content = child.read_bytes()
            found.now[child.name] = File(now=bytearray(content), synced=content)
    found.synced = dict(found.now)
    return found


def _write(directory: Directory, target: Path, chance: Random | str) -> None:
    target.mkdir(mode=0o700)
    for name, entry in directory.after(chance).items():
        if isinstance(entry, Directory):
            _write(entry, target / name, chance)
        else:
            (target / name).touch(mode=0o600)
            (target / name).write_bytes(entry.after(chance))
