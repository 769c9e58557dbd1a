"""An emulated host, for a sandbox without root: who owns a directory is kept in a side file.

Promises: the verbs of the real host, on real directories; owner and mode are what the side file
says (as fakeroot does), so a home can be given to anybody and closed. Leaves out: any effect of
owner and mode.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.contract import DirectoryState, Owner
from provisioner.system.directories import RealHost


def build(argument: str) -> EmulatedHost:
    """Build an emulated host that keeps its side file in a directory."""
    return EmulatedHost(Path(argument))


class EmulatedHost(RealHost):
    """Directories that anybody may own; one line of the side file for each change."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "owners.jsonl"
        self._owners: dict[str, dict[str, int]] = {}
        self._read = 0
        self._reading = threading.Lock()

    def _key(self, opened: int) -> str:
        status = os.fstat(opened)
        return f"{status.st_dev}:{status.st_ino}"

    def _note(self, opened: int, **values: int) -> None:
        # Between ends of lines: what a kill left of one spoils no other.
        line = f"\n{json.dumps([self._key(opened), values], separators=(',', ':'))}\n"
        with self._file.open("ab", buffering=0) as file:
            file.write(line.encode())

    def _known(self) -> Mapping[str, dict[str, int]]:
        """Give the owners, with what was written since they were asked for last."""
        with self._reading, suppress(FileNotFoundError), self._file.open("rb") as file:
            file.seek(self._read)
            fresh, end, _ = file.read().rpartition(b"\n")
            self._read += len(fresh) + len(end)
            for line in fresh.splitlines():
                with suppress(ValueError):
                    key, values = json.loads(line)
                    self._owners.setdefault(key, {}).update(values)
        return self._owners

    def _state(self, opened: int) -> DirectoryState:
        state = super()._state(opened)
        # The side file has numbers only, whatever else a state has.
        owner: dict[str, Any] = dict(self._known().get(self._key(opened), {}))
        return replace(state, **owner)

    def _own(self, opened: int, owner: Owner) -> None:
        self._note(opened, **owner._asdict())

    def _chmod(self, opened: int, mode: int) -> None:
        # A directory that is closed for its owner must stay open for the sandbox's user.
        os.fchmod(opened, mode | 0o700)
        self._note(opened, mode=mode)
