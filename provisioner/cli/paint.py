"""Coloured lines: on a terminal in colour, otherwise, and with NO_COLOR, as plain text.

Promises: the words are the same with and without colour, and nothing in them controls the terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from provisioner.cli import site

if TYPE_CHECKING:
    from rich.text import Text

Span = tuple[str, str]
"""A text and its style, as `rich` names it; '' is plain."""

Line = Sequence[Span]


def line(text: str, style: str = "") -> Line:
    """Return a line of one style."""
    return ((text, style),)


def plain(some: Line) -> str:
    """Return a line's words."""
    return site.printable("".join(text for text, _ in some)).rstrip()


def unmarked(text: str) -> str:
    """Return a text so that those who look for markup find the text itself."""
    from rich.markup import escape

    return escape(text)


def coloured() -> bool:
    """Return True if standard output shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def show(lines: Iterable[Line]) -> None:
    """Print lines."""
    if not coloured():
        for each in lines:
            print(plain(each))
        return
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    for each in lines:
        console.print(text([each]))


def watch(lines: Callable[[], Iterable[Line]], seconds: float) -> None:
    """Print lines again and again until Ctrl-C: on a terminal in place, else where they changed."""
    import time

    from rich.live import Live

    if not sys.stdout.isatty():
        before: list[str] = []
        while True:
            now = [plain(each) for each in lines()]
            if now != before:
                print("\n".join(now), flush=True)
            before = now
            time.sleep(seconds)
    with Live(text(lines()), screen=True, auto_refresh=False) as live:
        while True:
            live.update(text(lines()), refresh=True)
            time.sleep(seconds)


def text(lines: Iterable[Line]) -> Text:
    """Return lines as one text, in which nothing controls the terminal."""
    from rich.text import Text

    rows = [[(site.printable(word), style) for word, style in each] for each in lines]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(Text.assemble(*row) for row in rows)
