"""Text messages, chats and e-mail as plain text: bounded, decoded without trust, never as markup.

Keeps: at most ``TEXT_BYTES`` are read; of an e-mail only its plain text and the names of its attachments come out.
"""

from __future__ import annotations

import codecs
import email
import email.policy
import json
from contextlib import closing
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message

from recvault.domain.access import Actor
from recvault.services.retrieve import Retrieval

TEXT_BYTES = 256 * 1024
ATTACHMENTS = 50
"""Names of attachments listed at most."""

_TEXTS = ("application/json", "message/rfc822")


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What is shown. ``cut`` when the message is longer than what was read; ``only_markup`` for an e-mail that has no
    plain text part."""

    body: str
    cut: bool
    attachments: tuple[str, ...] = ()
    only_markup: bool = False


def is_text(media_type: str) -> bool:
    """Whether the page can show it as text."""
    base = media_type.partition(";")[0].strip().lower()
    return base.startswith("text/") or base in _TEXTS or base.endswith("+json")


def read_text(retrieval: Retrieval, actor: Actor, secret: str) -> Text:
    """The content behind a playback grant; leaves its trace like any playback."""
    playback = retrieval.playback(actor, secret)
    length = playback.stream.plaintext_length
    wanted = min(length, TEXT_BYTES)
    content = b""
    if wanted:
        with closing(retrieval.read(playback, 0, wanted - 1)) as pieces:  # type: ignore[type-var]
            content = b"".join(pieces)
    media_type = playback.communication.media_type
    if media_type.partition(";")[0].strip().lower() == "message/rfc822":
        return mail_text(content, cut=length > wanted)
    text = _decoded(content, _charset(media_type))
    return Text(body=_of_json(text) if "json" in media_type else text, cut=length > wanted)


def _of_json(text: str) -> str:
    """One line a message for the usual form of a chat, else the JSON with line breaks; as it is when it is none."""
    try:
        value = json.loads(text)
        messages = value.get("messages") if isinstance(value, dict) else value
        if isinstance(messages, list) and messages and all(isinstance(one, dict) and "text" in one for one in messages):
            return "\n".join(_line(one) for one in messages)
        return json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text


def _line(message: dict[str, object]) -> str:
    head = " ".join(str(message[name]) for name in ("at", "from") if message.get(name))
    return f"{head}: {message['text']}" if head else str(message["text"])


def mail_text(content: bytes, *, cut: bool = False) -> Text:
    """The plain text of an e-mail; one that the parser cannot take apart (nested without end) is shown as it came."""
    try:
        return _of_mail(content, cut=cut)
    except (RecursionError, LookupError, ValueError):
        return Text(body=_decoded(content, None), cut=cut)


def _of_mail(content: bytes, *, cut: bool) -> Text:
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    parts = [part for part in message.walk() if not part.is_multipart()]
    shown = next((p for p in parts if p.get_content_type() == "text/plain" and p.get_filename() is None), None)
    names = tuple(_words(part.get_filename() or "") for part in parts if part.get_filename())[:ATTACHMENTS]
    if shown is None:
        return Text(body="", cut=cut, attachments=names, only_markup=bool(parts))
    return Text(body=_decoded(_payload(shown), shown.get_content_charset()), cut=cut, attachments=names)


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _words(text: str) -> str:
    """A header's encoded words, read where they can be."""
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, email.errors.MessageError):
        return text


def _charset(media_type: str) -> str | None:
    for parameter in media_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return None


def _decoded(content: bytes, charset: str | None) -> str:
    """By its charset, else UTF-8; what does not fit is shown as a replacement sign."""
    try:
        name = codecs.lookup(charset or "utf-8").name
        text = content.decode(name, "replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\x00", "\ufffd").removeprefix("\ufeff")
