"""From file and environment to a :class:`Config`, and back to something that can be shown.

Order: defaults, then the file, then the environment (``RECVAULT__STORE__BUCKET=calls``). All faults of a
configuration are told at once, each with its key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recvault.config.fields import Surroundings, masked
from recvault.config.model import Config, Data, Place
from recvault.config.secrets import ConfigFault

PREFIX = "RECVAULT__"
_HINTS = {
    "store.prefix": "a bucket belongs to one archive alone; give the archive its own bucket",
    "database.password": "secrets stand in files: name the file in database.password_file",
    "store.access_key": "secrets stand in files: name the file in store.access_key_file",
    "store.secret_key": "secrets stand in files: name the file in store.secret_key_file",
}
_MUST_BE = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "missing": "is missing",
    "too_short": "must not be empty",
}
_WITH_LIMIT = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must be at most {max_length} characters",
    "literal_error": "must be one of {expected}",
}


def load(path: Path | None, environ: Mapping[str, str], *, base: Path | None = None) -> Config:
    """The configuration from the file at ``path`` (None: defaults only) and the overrides in ``environ``.

    Relative paths are taken from ``base`` (None: the working directory). Raises ConfigFault: one line for
    each fault.
    """
    raw = _read(path) if path is not None else {}
    faults = _override(raw, environ)
    if faults:
        raise _fault(path, faults)
    folder = Path.cwd() if base is None else base
    around = Surroundings(base=folder, data=folder, credentials=environ.get("CREDENTIALS_DIRECTORY"))
    around = Surroundings(base=folder, data=_data_directory(raw, around), credentials=around.credentials)
    try:
        return Config.model_validate({**_default_tables(), **raw}, context=around)
    except ValidationError as error:
        # Not chained: a traceback would repeat what was in the file.
        raise _fault(path, [_sentence(detail) for detail in error.errors()]) from None


def show(config: Config) -> dict[str, Any]:
    """The configuration as plain values for a person or JSON; it names files of secrets, never a secret."""
    return {name: masked(section) for name, section in config.model_dump(mode="json").items()}


def known_keys() -> list[str]:
    """Every key as ``section.key``; ``NAME`` stands for a place, ``[]`` for the entries of a list."""
    return sorted(_keys(Config, ""))


def _keys(model: type[BaseModel], before: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = before + name
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)]
        if not inner:
            yield key
        elif inner == [Place]:
            yield from _keys(Place, f"{key}.NAME.")
        elif get_origin(field.annotation) is tuple:
            yield from _keys(inner[0], f"{key}[].")
        else:
            yield from _keys(inner[0], f"{key}.")


def _is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _default_tables() -> dict[str, Any]:
    # A table that is absent is read as an empty one, so that its defaults too have their paths resolved.
    return {name: {} for name, field in Config.model_fields.items() if _is_model(field.annotation)}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigFault(f"{path}: cannot be read ({fault.strerror}); name a file that this user can read") from None
    except UnicodeDecodeError:
        raise ConfigFault(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as fault:
        raise ConfigFault(f"{path}: is not TOML: {fault}") from None


def _data_directory(raw: Mapping[str, Any], around: Surroundings) -> Path:
    try:
        return Data.model_validate(raw.get("data", {}), context=around).directory
    except ValidationError:
        return around.base  # the fault is told by the validation of the whole


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Writes the environment's values into ``raw``; returns sentences about those that fit nowhere."""
    faults = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        if len(steps) < 2 or not all(steps):
            faults.append(f"{name}: must be {PREFIX}SECTION__KEY")
            continue
        table: Any = raw
        for step in steps[:-1]:
            table = table.setdefault(step, {})
            if not isinstance(table, dict):
                faults.append(f"{name}: does not lead to a key of a table")
                break
        else:
            table[steps[-1]] = _value(steps, environ[name])
    return faults


def _value(steps: list[str], text: str) -> Any:
    """Text for keys that hold text; else a TOML value; a list may also be written with commas."""
    kind = _kind(steps)
    listed = get_origin(kind) is tuple
    if listed and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if not listed and kind not in (int, bool):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _kind(steps: list[str]) -> object:
    """The type of the key at ``steps``; None when there is no such key."""
    model: Any = Config
    for step in steps:
        field = model.model_fields.get(step) if _is_model(model) else None
        if field is None:
            return None
        model = field.annotation
    return model


def _fault(path: Path | None, sentences: list[str]) -> ConfigFault:
    where = "configuration" if path is None else str(path)
    return ConfigFault("\n".join(f"{where}: {sentence}" for sentence in sentences))


def _sentence(detail: ErrorDetails) -> str:
    key = ""
    for step in detail["loc"]:
        key += f"[{step}]" if isinstance(step, int) else f"{'.' if key else ''}{step}"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown(key)
    if kind in _WITH_LIMIT:
        return f"{key} {_WITH_LIMIT[kind].format_map(detail.get('ctx', {}))}"
    if kind in _MUST_BE:
        return f"{key} {_MUST_BE[kind]}"
    told = detail["msg"].removeprefix("Value error, ")
    return f"{key} {told}" if key else told


def _unknown(key: str) -> str:
    """A sentence about a key that is not known, with the nearest that is."""
    if key in _HINTS:
        return f"{key} is not known: {_HINTS[key]}"
    section, _, leaf = re.sub(r"\[\d+\]", "[]", key).rpartition(".")
    known = known_keys()
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    if not section:
        siblings = sorted({name.partition(".")[0] for name in known})
    leaves = {name.rpartition(".")[2]: name for name in siblings}
    near = [name for name in known if name.rpartition(".")[2] == leaf][:1]
    near = near or [leaves[name] for name in difflib.get_close_matches(leaf, leaves, n=1)]
    near = near or difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known there: {', '.join(siblings) or 'nothing'}"
    return f"{key} is not known; {hint}"
