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
        with open(self._file, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = json.loads(file.read() or "{}")
            known.setdefault(self._key(opened), {}).update(values)
            file.seek(0)
            file.truncate()
            json.dump(known, file)

    def _state(self, opened: int) -> DirectoryState:
        state = super()._state(opened)
        try:
            with open(self._file) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                known = json.loads(file.read() or "{}")
        except FileNotFoundError:
            return state
        return replace(state, **known.get(self._key(opened), {}))

    def _own(self, opened: int, uid: int, gid: int) -> None:
        self._note(opened, uid=uid, gid=gid)

    def _chmod(self, opened: int, mode: int) -> None:
        # A directory that is closed for its owner must stay open for the sandbox's user.
        os.fchmod(opened, mode | 0o700)
        self._note(opened, mode=mode)
