"""An emulated host, for a sandbox without root: who owns a directory is kept in a side file.

Promises: the verbs of the real host, on real directories; owner and mode are what the side file
says (as fakeroot does), so a home can be given to anybody and closed. Leaves out: any effect of
owner and mode.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.contract import DirectoryState
from provisioner.host import RealHost


def build(argument: str) -> EmulatedHost:
    """Build an emulated host that keeps its side file in a directory."""
    return EmulatedHost(Path(argument))


class EmulatedHost(RealHost):
    """Directories that anybody may own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "owners.json"

    def _key(self, opened: int) -> str:
        found = os.fstat(opened)
        return f"{found.st_dev}:{found.st_ino}"

    def _note(self, opened: int, **values: int) -> None:
        with open(self._file.with_suffix(".lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._known()
            known.setdefault(self._key(opened), {}).update(values)
            # A whole file or the one before: a kill must not make every home nobody's.
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(known))
            fresh.replace(self._file)

    def _known(self) -> dict[str, dict[str, int]]:
        try:
            known: dict[str, dict[str, int]] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return known

    def _state(self, opened: int) -> DirectoryState:
        state = super()._state(opened)
        # The side file has numbers only, whatever else a state has.
        owner: dict[str, Any] = dict(self._known().get(self._key(opened), {}))
        return replace(state, **owner)

    def _own(self, opened: int, uid: int, gid: int) -> None:
        self._note(opened, uid=uid, gid=gid)

    def _chmod(self, opened: int, mode: int) -> None:
        # A directory that is closed for its owner must stay open for the sandbox's user.
        os.fchmod(opened, mode | 0o700)
        self._note(opened, mode=mode)
