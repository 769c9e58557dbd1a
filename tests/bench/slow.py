"""A handler whose backend makes its caller wait, and computes nothing, as one far away does."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from provisioner.contract import Change, Key, State, Want, make_key
from tests.bench.nothing import Nothing

CALL = 0.02
"""Seconds of each call: a look at any number of objects, or one object that is written."""


class Slow(Nothing):
    """A backend that one lane writes to; it has what this process made."""

    def __init__(self, name: str) -> None:
        self.lane = name
        self._there: set[Key] = set()

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        return {make_key(self.lane, "thing", str(params["name"])): {"present": True}}

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State]:
        time.sleep(CALL)
        return {key: {"present": key in self._there} for key in keys}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if state["present"] or not want["present"]:
            return ()
        return [Change(key, "add", f"add {key}", 0, "add")]

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            time.sleep(CALL)
            self._there.add(change.key)
