"""The manual's pages: the same pages as --help, as mdoc(7) for man(1).

Promises: one file for the program and for each verb, which mandoc(1) reads without a warning.
Leaves out: what a page says (`pages`).
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioner.cli import pages
from provisioner.cli.exits import Exit
from provisioner.cli.pages import Page
from provisioner.cli.site import DEFAULT

SECTION = 1
_WIDTH = 66
"""The longest line before escapes; mandoc(1) wants at most 80 bytes with them."""

_EXITS = {
    Exit.OK: "Success.",
    Exit.FAILED: "A request failed or was cancelled, or a check found something.",
    Exit.USAGE: "Unknown verb or option, or a file that cannot be read.",
    Exit.INVALID: "The request is wrong or was refused; there is no such request or subject.",
    Exit.CONFIG: "The configuration is wrong, or what it names on this host.",
    Exit.AWAY: "A backend or the service did not answer.",
    Exit.UNMATCHED: "Done, but there was nothing to do: nothing is claimed for that name.",
}


def write(program: Any, directory: Path) -> Iterator[Path]:
    """Write every page into a directory, which is made; yield each file."""
    directory.mkdir(parents=True, exist_ok=True)
    for page in pages.every(program):
        path = directory / f"{_name(page)}.{SECTION}"
        path.write_text(render(page), encoding="utf-8")
        yield path


def render(page: Page) -> str:
    """Return a page as mdoc."""
    return "\n".join(_lines(page)) + "\n"


def _name(page: Page) -> str:
    return "-".join(page.words)


def _lines(page: Page) -> Iterator[str]:
    first, *more = [" ".join(part.split()) for part in page.text.split("\n\n")]
    yield f".Dd {_date()}"
    yield f".Dt {_name(page).upper()} {SECTION}"
    yield ".Os"
    yield ".Sh NAME"
    yield f".Nm {_name(page)}"
    yield f".Nd {_escaped(_summary(first))}"
    yield ".Sh SYNOPSIS"
    yield f".Nm {page.words[0]}"
    yield from (f".Cm {word}" for word in page.words[1:])
    yield from _synopsis(page)
    yield ".Sh DESCRIPTION"
    yield from _text(first)
    for paragraph in more:
        yield ".Pp"
        yield from _text(paragraph)
    yield from _listed(page)
    if page.options:
        yield ".Pp"
        yield "The options are as follows:"
        yield from _list(page.options, ".It Xo\n.Sy {}\n.Xc")
    if len(page.words) == 1:
        yield from _surroundings()
    yield ".Sh EXIT STATUS"
    yield ".Bl -tag -width Ds"
    for code, meaning in _EXITS.items():
        yield f".It {code.value}"
        yield from _text(meaning)
    yield ".El"
    yield from _examples(page)
    yield ".Sh SEE ALSO"
    yield from _see(page)


def _summary(text: str) -> str:
    """Return the first sentence without its end, as mdoc wants it."""
    return text.partition(". ")[0].rstrip(".")


def _synopsis(page: Page) -> Iterator[str]:
    words = page.usage.split()[len(page.words) :]
    for word in words:
        optional = word.startswith("[")
        name, dots = word.strip("[]"), "..." in word
        name = name.replace("...", "")
        if name:
            yield f".{'Op ' if optional else ''}Ar {_escaped(name)}{' ...' if dots else ''}"


def _listed(page: Page) -> Iterator[str]:
    """Return the arguments, and the verbs below the page."""
    if page.arguments:
        yield from _list(page.arguments, ".It Ar {}")
    for title, entries in page.groups:
        yield f".Ss {_escaped(title)}"
        yield from _list(entries, ".It Cm {}")


def _list(entries: tuple[pages.Entry, ...], item: str) -> Iterator[str]:
    yield ".Bl -tag -width Ds"
    for term, meaning in entries:
        yield from item.format(_escaped(term)).split("\n")
        yield from _text(meaning)
    yield ".El"


def _surroundings() -> Iterator[str]:
    yield ".Sh ENVIRONMENT"
    yield ".Bl -tag -width Ds"
    for name, meaning in (
        ("PROVISIONER_CONFIG", f"The configuration, if no --config names one; else {DEFAULT}."),
        ("PROVISIONER_SIGN", "The key that signs requests, if no --sign names one."),
        ("NO_COLOR", "Print without colour."),
    ):
        yield f".It Ev {name}"
        yield from _text(meaning)
    yield ".El"


def _examples(page: Page) -> Iterator[str]:
    if page.examples:
        yield ".Sh EXAMPLES"
    for number, (command, meaning) in enumerate(page.examples):
        yield from [".Pp"] if number else []
        yield from _text(meaning[:1].upper() + meaning[1:] + ":")
        yield f".Dl $ {_escaped(command)}"


def _see(page: Page) -> Iterator[str]:
    names = [f"{_name(page)}-{verb}" for _, entries in page.groups for verb, _ in entries]
    if len(page.words) > 1:
        names.append("-".join(page.words[:-1]))
    names.sort()
    for name in names:
        yield f".Xr {name} {SECTION}{' ,' if name != names[-1] else ''}"


def _text(text: str) -> Iterator[str]:
    """Return a text in short lines, none of which roff takes for a request."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _escaped(line)


def _escaped(text: str) -> str:
    """Return a text that roff prints as it is written."""
    text = text.replace("\\", "\\e").replace("`", "\\(ga").replace("'", "\\(aq")
    text = text.replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith(".") else text


def _date() -> str:
    """Return the date of the build, as mdoc writes it."""
    source = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(source), UTC) if source else datetime.now(UTC)
    return f"{day:%B} {day.day}, {day.year}"
