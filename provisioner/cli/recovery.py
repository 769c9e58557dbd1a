"""Verbs for the journal as a file: backup.

Promises: nothing is written to the journal while a service has it open. Leaves out: how copies and
journals are made (`backup`, `rebuild`).
"""

from __future__ import annotations

from pathlib import Path

import typer

from provisioner.cli import site


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(backup)


def backup(
    file: str = typer.Argument("", metavar="FILE", help="a new file; else in `backup.directory`"),
) -> None:
    """Copy the journal, also while the service runs; the copy is whole and flushed."""
    from provisioner import backup as copies

    settings = site.config()
    site.journal(settings).close()
    if file:
        target = Path(file)
        copies.copy_to(settings.journal, target)
    else:
        directory = settings.backup_directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = copies.back_up(settings.journal, directory, settings.backup.keep)
    position = copies.position_of(target)[1]
    site.say(f"{target}: whole and on disk, {target.stat().st_size} bytes, position {position}")
