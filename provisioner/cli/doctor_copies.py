"""What `doctor` says of the backup directory: the newest copy, damaged ones, those of others.

Promises: copies are looked at, not read through. Whether the service may write there is asked of
the directories, and not of its unit. Leaves out: fixing anything.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from provisioner.config.schema import Config
from provisioner.contract import ConfigError, Finding, Level
from provisioner.recovery import backup, redo_log
from provisioner.recovery.backup import Copy

_OLD = 3
"""The number of missed copies after which doctor warns."""


def findings(config: Config, journal: str) -> Iterator[Finding]:
    """Yield findings about the backup directory. journal: the id of the journal that is served."""
    directory = config.backup_directory
    try:
        backup.check_usable(directory)
    except ConfigError as error:
        yield Finding(Level.ERROR, "backup", error.message, error.advice)
        return
    try:
        found = backup.found(directory)
        log = redo_log.files(directory, journal)
    except OSError as error:
        message = f"{directory}: {error.strerror}"
        advice = "check it with ls -ld: the service must be able to write there"
        yield Finding(Level.ERROR, "backup", message, advice)
        return
    own = [copy for copy in found if copy.whole and copy.journal == journal]
    if own:
        yield _newest(own, config.backup.every)
    elif log and log[0].after:
        message = f"{directory} has no copy of the journal, and no log from its start"
        advice = "provisioner backup; the service makes them"
        yield Finding(Level.WARNING, "backup", message, advice)
    else:
        yield Finding(Level.OK, "backup", f"{directory}: no copy yet")
    damaged = [copy for copy in found if not copy.whole and copy.journal in ("", journal)]
    if locked := [copy.path for copy in damaged if not backup.may_read(copy.path)]:
        yield _not_ours(locked)
    elif damaged:
        yield _damaged(damaged)
    if text := backup.sharing(directory, config.journal):
        yield Finding(Level.OK, "backup", text)


def _newest(own: list[Copy], every: float) -> Finding:
    newest = max(own, key=lambda copy: copy.at)
    age = time.time() - newest.at
    message = f"the newest copy of {len(own)} is {age / 3600:.1f} hours old: {newest.path}"
    if age > _OLD * every:
        advice = "provisioner backup; the service's log says why it made no copy"
        return Finding(Level.WARNING, "backup", message, advice)
    return Finding(Level.OK, "backup", message)


def _not_ours(paths: list[Path]) -> Finding:
    message = f"not counted, as the service may not read it: {len(paths)} copies, {paths[-1]}"
    if len(paths) == 1:
        message = f"not counted, as the service may not read it: {paths[0]}"
    advice = f"ls -l {shlex.quote(str(paths[-1]))}; give it to the service's user (chown)"
    return Finding(Level.WARNING, "backup", message, advice)


def _damaged(damaged: list[Copy]) -> Finding:
    path = damaged[-1].path
    message = f"damaged, and not counted: {len(damaged)} of the copies, the newest is {path}"
    advice = (
        "look at the disk (dmesg -T); provisioner backup makes a new copy; then "
        f"rm {shlex.quote(str(path))}"
    )
    return Finding(Level.WARNING, "backup", message, advice)
