"""How `provisioner status` looks: a card, or with `--all` every fact of every object.

Promises: a card of a person in many projects fits one screen; on a terminal what is wrong is red.
With `--all`, a fact that several backends have is on one line, so that a difference is visible.
Leaves out: reading anything (`provisioner.cards`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from provisioner.cards.card import Card
from provisioner.cards.objects import HIDDEN, ObjectStatus, shared_facts
from provisioner.cards.page import Page, lines
from provisioner.cli import site
from provisioner.contract import Json, Key
from provisioner.inspection.worklist import Item
from provisioner.journal.queries.subjects import Suspension
from provisioner.journal.records import ledger
from provisioner.outcome.results import moment

_WIDTH = 140
"""Columns of output that does not go to a terminal."""


_CARD = 80
"""Columns of a card: it fits any terminal."""

_WRONG = 8
"""The most wrong objects on a card; `--all` lists every one."""

_FAILED = 3
"""The most failed requests below a card."""

_COLOURS = {
    "enabled": "green",
    "suspended": "red",
    "disabled": "yellow",
    "no account": "yellow",
}


def show_card(card: Card) -> None:
    """Print a card: who, access, facts, places, and only what is wrong with what to type."""
    console = Console(markup=False, highlight=False, soft_wrap=True)

    def say(text: str, colour: str = "") -> None:
        console.print(Text(site.printable(text), colour))

    name = f"  {card.name}" if card.name else ""
    head = Text(site.printable(f"{card.subject}{name}  "))
    console.print(head.append(card.standing, _COLOURS.get(card.standing, "")))
    for reason in card.because:
        say(_wrapped("  ", reason), "red" if "suspended" in reason else "yellow")
    for label, text in card.facts:
        say(_wrapped(f"{label + ':':10}", text))
    width = min(max((len(head) for head, _ in card.places), default=0), 24)
    for place, text in card.places:
        say(_wrapped(f"  {place:{width}}  ", text))
    for wrong in card.wrong[:_WRONG]:
        say(_wrapped("", f"{wrong.key}: {wrong.text}"), "red")
        if wrong.todo:
            say(f"    what to do: {wrong.todo}")
    if len(card.wrong) > _WRONG:
        say(f"and {len(card.wrong) - _WRONG} more: provisioner status {card.subject} --all", "red")
    if card.right and card.standing != "nothing is claimed":
        objects = "1 object" if card.right == 1 else f"{card.right} objects"
        backends = "1 backend" if card.backends == 1 else f"{card.backends} backends"
        say(f"as wanted: {objects} in {backends}", "green")


def show_failed(subject: str, failed: Sequence[Item]) -> None:
    """Print the requests about a subject that failed or were refused, with what to type."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for item in failed[:_FAILED]:
        record, what = item.record, " ".join(filter(None, item.about)) or item.record.name
        where = f"{item.where[0]}: " if item.where and item.where[0] else ""
        text = f"{record.state}: {what}: {where}{item.reason}"
        console.print(Text(site.printable(_wrapped("", text)), "red"))
        site.say(f"    what to do: provisioner show {record.id}")
    if len(failed) > _FAILED:
        kind, _, name = subject.partition(":")
        chosen = f"--{kind} {name}" if kind != "allocation" else f"--subject {subject}"
        more = f"and {len(failed) - _FAILED} more that failed: provisioner failed {chosen}"
        console.print(Text(site.printable(more), "red"))


def _wrapped(lead: str, text: str) -> str:
    """Return a text of at most `_CARD` columns a line, under a lead on the first."""
    return textwrap.fill(
        text,
        _CARD,
        initial_indent=lead,
        subsequent_indent=" " * max(len(lead), 4),
        break_long_words=False,
        break_on_hyphens=False,
    )


def show_page(page: Page, served: str, ages: Mapping[str, str]) -> None:
    """Print the site on one page. served: who serves it; ages: of the oldest request."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for text, colour in ((f"{page.service}: {served}", ""), *lines(page, ages)):
        console.print(Text(site.printable(text), colour))


def plain(item: ObjectStatus, subject: str, closed: Sequence[Suspension]) -> dict[str, Any]:
    """Return one object as plain data, for `--json`."""
    names = {subject, *(name for claim in item.claims for name in ledger.parts(claim.claimant))}
    return {
        "object": item.key,
        "handler": item.instance,
        "claims": [
            {"by": c.claimant, "suspended": c.suspended, "want": c.want} for c in item.claims
        ],
        "state": item.state,
        "missing": list(item.missing),
        "error": item.error.words() if item.error else None,
        "adopted": item.adoption,
        "suspensions": [
            {**asdict(reason), "since": moment(reason.since)}
            for reason in closed
            if reason.subject in names
        ],
    }


def show(subject: str, listed: Sequence[ObjectStatus], closed: Sequence[Suspension]) -> None:
    """Print the suspensions, and two tables: facts side by side, and object by object."""
    for suspension in closed:
        since = moment(suspension.since)
        reason = f"suspended by {suspension.source}: {suspension.cause}, since {since}"
        site.say(f"{suspension.subject}: {reason} ({suspension.request})")
    if not listed:
        more = ", nor for any of its allocations" if subject.startswith("project:") else ""
        site.say(f"no request claims anything for {subject}{more}")
        return
    if not any(item.claims for item in listed):
        site.say(f"no request claims anything for {subject}; the backends have:")
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    shared = shared_facts(subject, listed)
    if shared:
        wrong = any(item.missing or item.error for item in listed)
        console.print(_side_by_side(shared, wrong))
    console.print(_one_by_one(listed, {fact for fact, _ in shared}))


def _side_by_side(shared: Sequence[tuple[str, Mapping[Key, str]]], keys_wrong: bool) -> Table:
    keys = list(dict.fromkeys(key for _, values in shared for key in values))
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("")
    for key in keys:
        table.add_column(key.partition("/")[0], overflow="fold")
    table.add_column("")
    for fact, values in shared:
        apart = "differ" if keys_wrong else "differ, as wanted"
        differs = "" if len(set(values.values())) == 1 else apart
        cells = (site.printable(values.get(key, "-")) for key in keys)
        table.add_row(fact, *cells, differs)
    return table


def _one_by_one(listed: Sequence[ObjectStatus], shown: set[str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("object", "wanted by", "the backend says", "missing"):
        table.add_column(column, overflow="fold")
    unclaimed = "a waiting step" if any(item.claims for item in listed) else "nobody"
    for item in listed:
        claims = (c.claimant + (" (suspended)" if c.suspended else "") for c in item.claims)
        cells = (item.key, "\n".join(claims) or unclaimed, _says(item, shown), _missing(item))
        table.add_row(*map(site.printable, cells))
    return table


def _says(item: ObjectStatus, shown: set[str]) -> str:
    """Return a state in a few words, without the facts in `shown`."""
    state = item.state
    if state is None:
        return "no answer" if item.error else "not asked: known after another step"
    if not state.get("present"):
        return "not there"
    if item.described is not None:
        return ", ".join(f"{name} {text}" for name, text in item.described.items())
    hidden = {*HIDDEN, *shown, *(("id",) if "uid" in shown else ())}
    facts = [f"{name} {_text(value)}" for name, value in _flat(state) if name not in hidden]
    return ", ".join(facts) or "there"


def _flat(state: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """Return the facts that are not empty; the facts of a nested mapping keep their own names."""
    facts: list[tuple[str, Json]] = []
    for name, value in state.items():
        if isinstance(value, Mapping):
            facts += _flat(value)
        elif value not in (None, "", [], False) or name == "enabled":
            facts.append((name, value))
    return facts


def _text(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _missing(item: ObjectStatus) -> str:
    if item.error is not None:
        message, *_ = item.error.message.removeprefix(f"{item.key}: ").splitlines() or [""]
        advice = item.error.advice
        return f"{message} (what to do: {advice})" if advice else message
    return "; ".join(item.missing) or ("nothing" if item.claims else "")
