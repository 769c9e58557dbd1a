"""Letters: a message's facts become a mail, by the site's templates or the shipped ones.

Promises: pure, but for reading templates. A template is trusted, a fact never is: text of a request
or a backend is one line where a line is meant, is escaped in HTML, and reaches no header but the
subject, as one line. A mistake in a template names its file and line. Leaves out: sending (`post`).

A mail NAME is made of `mail/NAME.txt.j2`, whose first line is `Subject: ...`, and of
`mail/NAME.html.j2` if it lies beside that text: a site that replaces the text alone sends no HTML.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import (
    BytecodeCache,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from provisioner.config.notify import Event, MailConfig, is_address
from provisioner.contract.texts import phrase
from provisioner.notify import samples

SUMMARY = "summary"
"""The template of a mail that stands for many."""

NAMES = (*map(str, Event), SUMMARY)
"""The templates, one for each event, and the summary."""

_FOLDER = "mail"
_HEAD = "Subject:"
_LONGEST_SUBJECT = 160
_LONGEST = 20_000
"""The most characters of one text in a mail."""


class TemplateWrong(Exception):
    """A template cannot be rendered. The text names its file and line."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A rendered mail. html: '' if there is none."""

    subject: str
    text: str
    html: str


class _Compiled(BytecodeCache):
    """What was compiled in this process: its sites mostly share their templates."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template's code if its file had the same text before."""
        bucket.code = self._known.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template's code."""
        self._known[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


class Letters:
    """The templates of one site. roots: directories that are searched, the site's own first."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._folders = [root / _FOLDER for root in roots]
        self._jinja = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([str(folder) for folder in self._folders]),
            autoescape=lambda name: name is not None and name.endswith(".html.j2"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
            bytecode_cache=_COMPILED,
        )

    def render(self, name: str, facts: Mapping[str, Any]) -> Letter:
        """Return the mail of a template. Raises TemplateWrong."""
        folder = next((f for f in self._folders if (f / f"{name}.txt.j2").exists()), None)
        if folder is None:
            places = ", ".join(map(str, self._folders))
            raise TemplateWrong(f"there is no template {name}.txt.j2 in {places}")
        values = cleaned(facts)
        head, _, text = self._render(f"{name}.txt.j2", values).partition("\n")
        if not head.startswith(_HEAD) or not head.removeprefix(_HEAD).strip():
            raise TemplateWrong(
                f"{folder / name}.txt.j2, line 1: must begin with `{_HEAD} ` and a text"
            )
        subject = phrase(head.removeprefix(_HEAD), _LONGEST_SUBJECT)
        beside = (folder / f"{name}.html.j2").exists()
        html = self._render(f"{name}.html.j2", values) if beside else ""
        return Letter(subject, f"{text.strip()}\n", html)

    def _render(self, file: str, values: Mapping[str, Any]) -> str:
        try:
            return self._jinja.get_template(file).render(values)
        except TemplateSyntaxError as error:
            place = f"{error.filename or file}, line {error.lineno}"
            raise TemplateWrong(f"{place}: {error.message}") from None
        except TemplateNotFound as error:
            raise TemplateWrong(f"{file} includes {error.name}, which does not exist") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise TemplateWrong(f"{self._place(file, error)}: {error}") from None

    def _place(self, file: str, error: BaseException) -> str:
        """Return the file and line of a template in which rendering it failed."""
        place, trace = file, error.__traceback__
        folders = tuple(f"{folder}/" for folder in self._folders)
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if name.startswith(folders):
                place = f"{name}, line {trace.tb_lineno}"
            trace = trace.tb_next
        return place

    def wrong(self) -> Iterator[str]:
        """Render every template with sample facts; yield what is wrong with each, and where."""
        for name in NAMES:
            for facts in samples.of(name):
                try:
                    self.render(name, facts)
                except TemplateWrong as error:
                    yield str(error)
                    break


def envelope(
    letter: Letter, settings: MailConfig, *, to: str, message_id: str, at: float
) -> EmailMessage:
    """Return the mail that a server takes.

    to: a plain address; message_id: of the message in the outbox, the same whenever it is sent.
    Raises ValueError if the address is not one.
    """
    # Loaded with the first mail: most sites' services send none, and would keep it in memory.
    from email.headerregistry import Address
    from email.policy import SMTP

    if not is_address(to):
        raise ValueError(f"{to!r} is not a mail address")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(addr_spec=settings.sender)
    mail["To"] = Address(addr_spec=to)
    if settings.reply_to is not None:
        mail["Reply-To"] = Address(addr_spec=settings.reply_to)
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    mail["Message-ID"] = f"<{_id(message_id)}@{settings.sender.partition('@')[2]}>"
    # RFC 3834: no holiday answers to a program.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(letter.text)
    if letter.html:
        mail.add_alternative(letter.html, subtype="html")
    return mail


def _id(text: str) -> str:
    """Return an id as the left side of a Message-ID; different ids stay different."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,120}", text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def cleaned(value: Any) -> Any:
    """Return facts in which every text is one line without control characters."""
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else " " for c in text)
    if isinstance(value, Mapping):
        return {str(key): cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner) for inner in value]
    return value
