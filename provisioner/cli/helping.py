"""Help on a terminal: -h, --help and the verb `help`, and the manual's pages as files.

Promises: a page fits the width of the terminal; without a terminal, and with NO_COLOR, it is plain
text. Leaves out: what a page says (`pages`, `guide`).
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from provisioner.cli import pages, site
from provisioner.cli.exits import Exit
from provisioner.cli.pages import Entry, Page

_WIDEST = 100
_TERM = 26
"""The widest column of terms; a longer term has its meaning below."""


class Verb(TyperCommand):
    """A verb whose help is its page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write(_text(self, ctx))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the page's first line, for an error about what was typed."""
        formatter.write(_usage(self, ctx))


class Verbs(TyperGroup):
    """Verbs whose help is their page, in groups."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the verb and its words; without any, print the page."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            print(_text(self, ctx), end="")
            ctx.exit(Exit.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that was typed; name the nearest ones if there is none."""
        # The typer of Debian 13 names none.
        nearest = get_close_matches(args[0], self.commands)
        if nearest and args[0] not in self.commands and not ctx.resilient_parsing:
            meant = ", ".join(map(repr, nearest))
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant}?")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write(_text(self, ctx))

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the page's first line, for an error about what was typed."""
        formatter.write(_usage(self, ctx))


def register(app: typer.Typer) -> None:
    """Add the verb; have every verb that was added show its page as help."""
    app.command("help")(show)
    for group in app.registered_groups:
        group.cls = Verbs
        inner = group.typer_instance.registered_commands if group.typer_instance else []
        for verb in inner:
            verb.cls = Verb
    for verb in app.registered_commands:
        verb.cls = Verb


def show(
    context: typer.Context,
    words: list[str] = typer.Argument(None, metavar="[VERB...]", help="a verb; none: all verbs"),
    man: str = typer.Option(
        "", "--man", metavar="DIR", help="write every page into a directory, for man(1)"
    ),
) -> None:
    """Explain the program, or a verb."""
    program = context.find_root().command
    if man:
        from provisioner.cli import manual

        for file in manual.write(program, Path(man)):
            site.say(str(file))
        return
    command = pages.below(program, words or ())
    if command is None:
        raise typer.BadParameter(f"there is no verb {' '.join(words)!r}; provisioner help")
    print(render(pages.page(command, (pages.PROGRAM, *(words or ())))), end="")


def _usage(command: Any, ctx: Any) -> str:
    return f"Usage: {pages.page(command, ctx.command_path.split()).usage}\n"


def _text(command: Any, ctx: Any) -> str:
    return render(pages.page(command, ctx.command_path.split()))


def render(page: Page) -> str:
    """Return a page for the terminal, or as plain text."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def head(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if bold else text

    lines = [*_wrapped(f"Usage: {page.usage}", width, "         ")]
    for paragraph in page.text.split("\n\n"):
        lines += ["", *_wrapped(" ".join(paragraph.split()), width)]
    sections: list[tuple[str, Sequence[Entry]]] = [
        *page.groups,
        ("Arguments", page.arguments),
        ("Options", page.options),
    ]
    for title, entries in sections:
        if entries:
            lines += ["", head(f"{title}:"), *_entries(entries, width)]
    if page.examples:
        lines += ["", head("Examples:"), *_examples(page.examples, width)]
    if page.groups:
        lines += ["", f"More about a verb: {page.name} VERB --help"]
    if page.epilog:
        lines += ["", *_wrapped(page.epilog, width)]
    return "\n".join(lines) + "\n"


def _entries(entries: Sequence[Entry], width: int) -> Iterator[str]:
    column = 4 + max(len(term) for term, _ in entries if len(term) <= _TERM or len(entries) == 1)
    for term, meaning in entries:
        first, *rest = _wrapped(meaning, width - column) or [""]
        if len(term) + 4 > column:
            yield f"  {term}"
            rest = [first, *rest]
        else:
            yield f"  {term:{column - 2}}{first}".rstrip()
        yield from (" " * column + line for line in rest)


def _examples(examples: Sequence[Entry], width: int) -> Iterator[str]:
    for command, meaning in examples:
        yield f"  {command}"
        yield from (f"      {line}" for line in _wrapped(meaning, width - 6))


def _wrapped(text: str, width: int, more: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )
