"""The verb `list`: people, projects, allocations, resources and dates, as the ledger has them.

Promises: reads the journal only. Leaves out: what the backends have (`status`, `drift`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from provisioner.cli import site

if TYPE_CHECKING:
    from provisioner.cards.lists import Row

_NAMES = 4
"""The most names in a column; --json has all."""


class What(StrEnum):
    """What can be listed."""

    USERS = "users"
    PROJECTS = "projects"
    ALLOCATIONS = "allocations"
    RESOURCES = "resources"
    ENDS = "ends"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("list")(listing)


def listing(
    what: What = typer.Argument(
        ..., help="users, projects, allocations, resources, or ends: when access ends"
    ),
    user: str = typer.Option("", help="only projects, allocations and dates of this person"),
    project: str = typer.Option("", help="only what belongs to this project"),
    resource: str = typer.Option("", help="only what uses this resource"),
    suspended: bool = typer.Option(False, "--suspended", help="only what is suspended"),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """List users, projects, allocations or resources of the ledger, or when access ends."""
    from provisioner.cards.lists import LISTS

    rows = [
        row
        for row in LISTS[what.value](site.reading())
        if _fits(row, "user", "people", user.removeprefix("user:"))
        and _fits(row, "project", "projects", project.removeprefix("project:"))
        and _fits(row, "resource", "resources", resource)
        and (not suspended or row.get("suspended"))
    ]
    if as_json:
        site.print_json(rows)
        return
    for line in _lines(rows):
        site.say(line)
    site.say(site.many(len(rows), what.value.removesuffix("s")))


def _fits(row: Row, one: str, many: str, name: str) -> bool:
    """Return True if a row is the named one, or has it among others. name: '' fits everything."""
    listed = row.get(many)
    return not name or row.get(one) == name or (isinstance(listed, list) and name in listed)


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    columns = list(rows[0])
    table = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[number]) for line in table) for number in range(len(columns))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, list):
        more = f" +{len(value) - _NAMES}" if len(value) > _NAMES else ""
        return (", ".join(map(str, value[:_NAMES])) + more) or "-"
    return " ".join(str(value).split()) or "-"
