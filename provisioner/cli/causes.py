"""Causes of failures as lines: on one screen what is wrong, who is affected, and what to type.

Promises: pure. Leaves out: what a cause is (`failures`), and all that is known of one (`failed`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.cli.board import STYLES
from provisioner.cli.paint import Line, line
from provisioner.cli.words import one_line, some, span
from provisioner.inspection.failures import Kind
from provisioner.system.ulid import RequestId

if TYPE_CHECKING:
    from provisioner.inspection.failures import Cause

_WIDTH = 80
"""The most columns of a line."""

_DEEP = " " * 23
"""What stands before the lines below a cause, besides a word."""

_WHOLE = 6
"""The most causes that are explained; the others have only a row."""

_NAMED = 3
"""The most people, and the most projects, that are named."""


def table(
    causes: Sequence[Cause], short: Mapping[RequestId, str], now: float, whole: int = _WHOLE
) -> Iterator[Line]:
    """Yield a row for each cause, and below the first `whole` who is affected and what to type."""
    yield line(f"{'CAUSE':6} {'COUNT':>6} {'OLDEST':>7}  WHAT IS WRONG", "bold")
    for number, cause in enumerate(causes):
        example = cause.example
        where = f"{example.where}: " if example.where else ""
        what = f"{where}{one_line(example.message)}"
        state = str(example.record.state)
        room = _WIDTH - len(_DEEP) - len(state) - 2
        yield (
            (f"{cause.id} {len(cause.failures):6} {span(now - cause.since):>7}  ", "bold"),
            (f"{state}: ", STYLES.get(example.record.state, "")),
            (textwrap.shorten(what, room, placeholder=" ..."), ""),
        )
        if number < whole:
            yield from _below("who", affected(cause))
            yield from _below("fix", _remedy(cause))
            yield from (_typed(*what) for what in _commands(cause, short))


def affected(cause: Cause) -> str:
    """Return which people and projects a cause affects, and who asked."""
    known = [some(cause.people, _NAMED), some(cause.projects, _NAMED)]
    about = "; ".join(filter(None, known)) or some(cause.subjects, _NAMED)
    asked = f"asked for by {some(list(cause.writers), _NAMED)}"
    return f"{about}; {asked}" if about else asked


def _remedy(cause: Cause) -> str:
    """Return what to do about a cause, as far as it is known."""
    example = cause.example
    if example.advice:
        return one_line(example.advice)
    meant = f"did you mean {example.nearest}?" if example.nearest else ""
    expected = f"expected: {example.expected}" if example.expected else ""
    return one_line(f"{meant} {expected}")


def _below(word: str, text: str) -> Iterator[Line]:
    """Yield a text below a cause, in two lines at most."""
    lines = textwrap.wrap(
        text,
        _WIDTH - len(_DEEP),
        max_lines=2,
        placeholder=" ...",
        break_on_hyphens=False,
    )
    for number, each in enumerate(lines):
        lead = "" if number else word
        yield ((f"{lead:>{len(_DEEP) - 2}}  ", "dim"), (each, ""))


def _typed(word: str, command: str) -> Line:
    return ((f"{word:>{len(_DEEP) - 2}}  ", "dim"), (command, "bold"))


def _commands(cause: Cause, short: Mapping[RequestId, str]) -> Iterator[tuple[str, str]]:
    """Yield what to type, each with a word that says when."""
    example, several = cause.example, len(cause.failures) > 1
    if all(failure.record.set_aside for failure in cause.failures):
        yield "type", f"provisioner show {short[example.record.id]}"
    elif example.kind == Kind.WRONG and not several:
        yield "type", f"provisioner edit {short[example.record.id]} --wait"
    elif example.kind == Kind.WRONG:
        yield "its files", f"provisioner failed {cause.id}"
        yield "when corrected", f"provisioner retry --cause {cause.id} --wait"
    else:
        yield "when fixed", f"provisioner retry --cause {cause.id} --wait"
