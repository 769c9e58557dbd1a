"""A handler with a backend in memory, for tests of convergence: all that may go wrong there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Finding,
    Key,
    Permanent,
    Scalar,
    State,
    Unavailable,
    Want,
)
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Former, Item

Rows = dict[Key, dict[str, Any]]


class Shelf:
    """A handler and its backend in one: jars with a label and a lid, kept in rows.

    A new jar is made first, then labelled and closed, as new objects of real backends are. Each
    attribute below is something that may go wrong there.
    """

    lane = "shelf"

    def __init__(self, rows: Rows | None = None) -> None:
        self.rows: Rows = rows or {}
        self.calls: list[tuple[str, list[Key]]] = []
        self.reads: list[list[Key]] = []
        self.poison: set[Key] = set()
        self.raises: Callable[[], Exception] = lambda: Permanent("poisoned")
        self.writes_before_raising = False
        self.lies = False
        self.away = False
        self.seen: dict[Key, Fault] = {}
        self.unseen: set[Key] = set()
        self.no_plan: dict[Key, Exception] = {}
        self.no_prior: dict[Key, Exception] = {}

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        return {str(params["jar"]): {"label": str(params["label"])}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim.want["label"] for claim in claims if not claim.suspended]
        label = live[0] if live else (prior or {}).get("label")
        return {"present": bool(claims), "label": label, "closed": bool(claims) and not live}

    def prior(self, key: Key, state: State) -> State | None:
        if key in self.no_prior:
            raise self.no_prior[key]
        return {"label": state["label"]} if state["present"] else None

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        self.reads.append(sorted(keys))
        if self.away:
            raise Unavailable("the shelf is away")
        absent = {"present": False, "label": None, "closed": False}
        return {
            key: self.seen.get(key) or dict(self.rows.get(key, absent))
            for key in keys
            if key not in self.unseen
        }

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if key in self.no_plan:
            raise self.no_plan[key]
        if not want["present"]:
            return [Change(key, "remove", f"remove {key}", 3)] if state["present"] else []
        changes = []
        if not state["present"]:
            changes.append(Change(key, "make", f"make {key}", 0))
        if want["label"] is not None and state["label"] != want["label"]:
            group = str(want["label"])
            changes.append(Change(key, "label", f"label {key} {group}", 1, group))
        if state["closed"] != want["closed"]:
            changes.append(Change(key, "lid", f"lid of {key}", 2, str(want["closed"])))
        return changes

    def apply(self, changes: Sequence[Change]) -> None:
        self.calls.append((changes[0].verb, [change.key for change in changes]))
        bad = any(change.key in self.poison for change in changes)
        if not self.lies and (self.writes_before_raising or not bad):
            for change in changes:
                self._write(change)
        if bad:
            raise self.raises()

    def _write(self, change: Change) -> None:
        if change.verb == "remove":
            del self.rows[change.key]
        elif change.verb == "make":
            self.rows[change.key] = {"present": True, "label": None, "closed": False}
        elif change.verb == "label":
            self.rows[change.key]["label"] = change.group
        else:
            self.rows[change.key]["closed"] = change.group == "True"

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return list(self.rows.items())

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {}

    def check(self) -> Sequence[Finding]:
        return ()


def item(key: Key, label: str = "jam", *, suspended: bool = False) -> Item:
    return Item(key, (Claim("user:jdoe", {"label": label}, suspended),))


def jar(label: str = "jam", *, closed: bool = False) -> dict[str, Any]:
    return {"present": True, "label": label, "closed": closed}


def nothing_saved(former: Former) -> None:
    """Fail: no object should have been closed."""
    raise AssertionError(f"nothing was to be saved, but {former} was")


def run(shelf: Shelf, *items: Item) -> dict[Key, Outcome]:
    """Converge items of which nothing needs to be saved; return the outcome of each."""
    return {o.item.key: o for o in converge(shelf, items, nothing_saved)}


def faults(outcomes: Mapping[Key, Outcome]) -> dict[Key, str]:
    """Return the type of each fault."""
    return {key: type(o.fault).__name__ for key, o in outcomes.items() if o.fault is not None}


class Saved(dict[Key, State]):
    """What was saved, and what the shelf had been told by then."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.calls_before: list[int] = []

    def __call__(self, former: Former) -> None:
        self.calls_before.append(len(self.shelf.calls))
        self.update(former.priors)
