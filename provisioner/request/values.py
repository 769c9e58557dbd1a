"""Values: the names, sizes, numbers and times that a request or a configuration may contain.

Promises: each is checked strictly, before any backend sees it, and its error says what it should
be. Leaves out: where each may appear (`subjects`, `actions`, `config`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from provisioner.contract import texts
from provisioner.contract.texts import parse_size


def _matches(pattern: str, what: str) -> Any:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"not {what}")
        return value

    return AfterValidator(check)


def _one_line(value: str) -> str:
    if value.isprintable():
        return value
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("has a control character")
    return value


_TEXT = 2000
"""The most characters of a text of several lines."""

Changed = dict[str, str]
"""Remarks on texts that were changed, by the text as it was written; a model's context."""


def _phrase(value: str, info: ValidationInfo) -> str:
    return _noted(value, texts.line(value), info)


def _lines(value: str, info: ValidationInfo) -> str:
    return _noted(value, texts.lines(value, _TEXT), info)


def _noted(value: str, shortened: texts.Adapted, info: ValidationInfo) -> str:
    """Return a text as it is kept, and note in the context what was changed."""
    changed = info.context
    if shortened.remark and isinstance(changed, dict):
        changed[value] = shortened.remark
    return shortened.text


def _digits(value: object) -> object:
    """Refuse text that Python reads as a number and people do not: `1_0`, `1.0`, ` 1`."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("not a whole number")
    return value


def _dated(value: object) -> object:
    """Refuse a bare number, which would be seconds since 1970."""
    if isinstance(value, str) and not re.match(r"[0-9]{4}-", value):
        raise ValueError("not a time")
    return value


def _in_range(value: datetime) -> datetime:
    """Refuse years that no zone can be sure to write in four digits, and those before computers."""
    if not 1970 < value.year < 9999:
        raise ValueError("not a time from 1971 to 9998")
    return value


_USER = r"[a-z_][a-z0-9_.-]{0,31}"
_CODE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_MAIL = r'[^@\s<>()\[\]\\,;:"]{1,64}@[A-Za-z0-9.-]{1,255}'
_LONGEST = 150
_PERSON = rf"[A-Za-z0-9_.@+-]{{1,{_LONGEST}}}"
_PATH = r"(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+"


def is_user_name(text: str) -> bool:
    """Return True if a text is a user name."""
    return re.fullmatch(_USER, text) is not None


UserName = Annotated[
    str,
    _matches(_USER, "a user name: a lower-case letter or _, then at most 31 of a-z 0-9 _ . -"),
    Field(
        description="a user's login name",
        examples=["jdoe"],
        json_schema_extra={"pattern": f"^{_USER}$"},
    ),
]
Code = Annotated[
    str,
    _matches(_CODE, "a code: letters, digits, _ . -, at most 64"),
    Field(
        description="a short name", examples=["CF0003"], json_schema_extra={"pattern": f"^{_CODE}$"}
    ),
]
Person = Annotated[
    str,
    _matches(_PERSON, "a person's name: at most 150 of A-Z a-z 0-9 _ . @ + -"),
    Field(
        description="a person, as the writer knows them",
        examples=["jdoe"],
        json_schema_extra={"pattern": f"^{_PERSON}$"},
    ),
]


def as_person(name: str) -> str:
    """Return a person's name as a request can have it; different people keep different names.

    Other characters than `Person` allows become like `_u00f6_`, in lower case: nobody asks as
    nobody because of their name.
    """
    if re.fullmatch(_PERSON, name):
        return name
    plain = unicodedata.normalize("NFKC", name).casefold()
    spelt = re.sub(r"[^A-Za-z0-9_.@+-]", lambda found: f"_u{ord(found[0]):04x}_", plain)
    if len(spelt) <= _LONGEST:
        return spelt
    digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{spelt[: _LONGEST - 33]}_{digest}"


Line = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
"""Text that programs compare, such as an id: it stays unchanged, or is refused."""
Specs = Annotated[str, Field(max_length=8000), AfterValidator(_one_line)]
"""Limits of Slurm, as `sacctmgr` takes them.

Slurm sets no length: slurmdbd keeps each list in a column of 65,535 bytes (`text`, `blob` in
as_mysql_convert.c). Thirty resources with names such as `gres/gpu:a100` in each of its eleven lists
are under 8,000; more would be kept once for every user.
"""
Phrase = Annotated[str, AfterValidator(_phrase)]
"""Text that people read, such as a title: made to fit every backend, and never refused."""
Text = Annotated[str, AfterValidator(_lines)]
"""Text that people read, of several lines."""
Id = Annotated[int, Field(ge=1, le=4294967293), BeforeValidator(_digits)]
Count = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_digits)]
Moment = Annotated[AwareDatetime, BeforeValidator(_dated), AfterValidator(_in_range)]
Size = Annotated[
    int,
    BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value),
    Field(ge=0, lt=2**63),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["5TiB", "500 GB"]}),
]
Mail = Annotated[
    str,
    _matches(_MAIL, "a mail address"),
    Field(examples=["jdoe@example.org"], json_schema_extra={"pattern": f"^{_MAIL}$"}),
]
AbsolutePath = Annotated[
    str,
    _matches(_PATH, "an absolute path of plain names"),
    Field(
        max_length=1000,
        examples=["/gpfs/projects/cf0003"],
        json_schema_extra={"pattern": f"^{_PATH}$"},
    ),
]
Free = dict[
    Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Phrase | list[Phrase] | None
]
