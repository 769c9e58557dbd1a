"""The verb `removal`: what an admin would remove for a request to delete data.

Promises: prints; removes nothing, and sends no request. Leaves out: which objects
(`cards.removal`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from provisioner.cli import finding, site
from provisioner.cli.exits import Exit

if TYPE_CHECKING:
    from provisioner.cards.removal import Removal


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(removal)


def removal(
    subject: str = typer.Argument(
        ..., help="user:NAME, project:CODE or allocation:ID; or the name alone"
    ),
    as_json: bool = typer.Option(False, "--json", help="for programs"),
) -> None:
    """List what an admin would remove of a subject, and where; nothing is done."""
    from provisioner.cards import removal as removals

    found = removals.of(site.reading(), finding.subject(subject))
    if as_json:
        site.print_json(_plain(found))
    else:
        for line in _lines(found):
            site.say(line)
    if found.unread:
        raise typer.Exit(Exit.AWAY)
    if not found.parts:
        raise typer.Exit(Exit.INVALID)


def _plain(found: Removal) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "suspended": found.closed,
        "objects": [
            {"object": p.key, "about": p.about, "commands": p.commands, "kept": p.kept}
            for p in found.parts
        ],
        "shared": [{"object": key, "command": argv} for key, argv in found.shared.items()],
        "unread": [{"object": key, "why": why} for key, why in found.unread.items()],
    }


def _lines(found: Removal) -> Iterator[str]:
    if not found.parts and not found.unread:
        yield f"no backend has anything of {found.subject} that a request claims"
        return
    yield f"{found.subject}: what an admin would remove. Nothing was done, and no request was sent."
    if not found.closed and not found.subject.startswith("project:"):
        suspend = f"provisioner suspend {found.subject} --cause removal --wait"
        yield f"It is not suspended. First type: {suspend}"
    yield "Leave the suspension in force: otherwise the service makes again what is removed."
    for part in found.parts:
        if part.commands:
            yield f"{part.key}  {part.about}".rstrip()
            yield from (f"    {shlex.join(argv)}" for argv in part.commands)
    kept = {part.key: part.kept for part in found.parts if part.kept}
    for key, why in kept.items():
        yield f"stays: {key}: {why}"
    for key, argv in found.shared.items():
        yield f"stays: files of {found.subject} in {key}, which are its project's. To list them:"
        yield f"    {shlex.join(argv)}"
    for key, why in found.unread.items():
        yield f"not read, so look again: {key}: {why}"
    yield (
        f"The service's own records name {found.subject}, too: provisioner audit show --subject "
        f"{found.subject}. Retention removes them by age."
    )
