"""What every section of the configuration is made of: its base, and the kinds of its values.

Paths are absolute once loaded: most are taken from the working directory, those marked ``InData`` from
``data.directory``. How a value is read and checked stands in ``fields``.
"""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from recvault.config import fields

Here = Annotated[Path, Strict(False), BeforeValidator(fields.path_from_base)]
InData = Annotated[Path, Strict(False), BeforeValidator(fields.path_from_data)]
SecretFile = Annotated[Path, Strict(False), BeforeValidator(fields.secret_file)]
DatabaseUrl = Annotated[str, BeforeValidator(fields.database_url)]
PublicUrl = Annotated[str, BeforeValidator(fields.public_url)]
Endpoint = Annotated[str, BeforeValidator(fields.endpoint)]
Host = Annotated[str, BeforeValidator(fields.host)]
MailAddress = Annotated[str, BeforeValidator(fields.mail_address)]
MailSender = Annotated[str, BeforeValidator(fields.mail_sender)]
Network = Annotated[str, BeforeValidator(fields.network)]
Zone = Annotated[str, BeforeValidator(fields.time_zone)]
Pattern = Annotated[str, BeforeValidator(fields.pattern)]
Bucket = Annotated[str, BeforeValidator(fields.bucket)]
TimeOfDay = Annotated[time, BeforeValidator(fields.time_of_day)]
Country = Annotated[str, BeforeValidator(fields.country)]
ReasonCode = Annotated[str, BeforeValidator(fields.code)]
Text = Annotated[str, Field(max_length=200)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """A table of the file: frozen, closed, and strict (text is not a number)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, hide_input_in_errors=True
    )
