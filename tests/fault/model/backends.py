"""Emulated backends for the model: what a site has, in dictionaries, and handlers that write there.

Promises: the shapes of the real handlers (accounts, a gate, homes, groups, filesets, Slurm), so
that the shipped default routes are run as they are; what exists outlives the service. Leaves out:
batches that fail halfway, and all that a tool may answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Finding,
    Json,
    Key,
    NotReady,
    Scalar,
    State,
    Unavailable,
    Want,
    given_back,
    make_key,
    split_key,
)

Row = dict[str, Any]


@dataclass
class World:
    """Everything that exists, by key, and which instances do not answer."""

    rows: dict[Key, Row] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Shape:
    """How the objects of an instance behave. names: parameters that make the key, by the kind of
    object; value: the parameter that is compared; leaves: kinds that are removed, not left closed,
    when nobody claims them; returns: kinds whose value goes back to its earlier one when nobody
    names one any more; needs: keys that must exist before an object can be made, with {0} and {1}
    for its own names."""

    names: Mapping[str, tuple[str, ...]]
    value: Mapping[str, str] = field(default_factory=dict)
    leaves: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


SHAPES = {
    "ad": Shape({"account": ("name",)}, {"account": "uid"}),
    "lds": Shape(
        {"account": ("name",)}, {"account": "uid"}, needs={"account": ("ad/account/{0}",)}
    ),
    "home": Shape({"home": ("name",)}, {"home": "uid"}),
    "groups": Shape(
        {"member": ("group", "user"), "group": ("group",)},
        {"group": "gid"},
        frozenset({"member"}),
        needs={"member": ("groups/group/{0}", "ad/account/{1}")},
    ),
    "fs": Shape({"fileset": ("fileset",)}, {"fileset": "files"}, returns=frozenset({"fileset"})),
    "slurm": Shape(
        {"assoc": ("account", "user"), "account": ("account",)},
        {"account": "fairshare", "assoc": "specs"},
        frozenset({"assoc"}),
        frozenset({"account"}),
        {"assoc": ("slurm/account/{0}",)},
    ),
}

KINDS = {
    "ad": "ad_account",
    "lds": "adlds_account",
    "nss": "nss_gate",
    "home": "home_directory",
    "groups": "ad_group",
    "fs": "gpfs_fileset",
    "slurm": "slurm",
}


class Shaped:
    """A handler of one instance: what is wanted is what the merged claims say."""

    def __init__(self, instance: str, world: World) -> None:
        self.lane = instance
        self._shape = SHAPES[instance]
        self._world = world

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        names = self._shape.names
        kind = next(k for k, parts in names.items() if all(p in params for p in parts))
        value = params.get(self._shape.value.get(kind, ""))
        shown: Any = value if not isinstance(value, int | str) else str(value)
        key = make_key(self.lane, kind, *(str(params[part]) for part in names[kind]))
        return {key: {"present": True, "value": shown}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        values = [str(c.want["value"]) for c in live if c.want.get("value") is not None]
        value = max(values, default=None)
        return {"open": bool(live), "value": value, "claimed": bool(claims)}

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        named = split_key(key)[1] in self._shape.returns and want["value"] is not None
        return {"value": want["value"]} if named else {}

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        return {"value": state.get("value")}

    def prior(self, key: Key, state: State) -> State | None:
        return {"value": state["value"]} if state["present"] and state["open"] else None

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        if self.lane in self._world.away:
            raise Unavailable(f"{self.lane} is away")
        return {key: self._state(key) for key in keys}

    def _state(self, key: Key) -> State | Fault:
        row = self._world.rows.get(key)
        parts = split_key(key)
        missing = [
            other
            for form in self._shape.needs.get(parts[1], ())
            if (other := form.format(*parts[2:])) not in self._world.rows
        ]
        return {"present": row is not None, "missing": missing, **(row or {})}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        kind = split_key(key)[1]
        if kind in self._shape.leaves and not want["claimed"]:
            return [_change(key, "remove")] if state["present"] else ()
        if not state["present"] and not want["open"]:
            return ()
        if not state["present"] and state["missing"]:
            raise NotReady(f"{key}: there is no {state['missing']}")
        now = (state.get("open"), state.get("value"))
        wanted = (want["open"], _value(want, state) if want["open"] else state.get("value"))
        return [_change(key, "put", wanted)] if not state["present"] or now != wanted else ()

    def apply(self, changes: Sequence[Change]) -> None:
        if self.lane in self._world.away:
            raise Unavailable(f"{self.lane} is away")
        for change in changes:
            if change.verb == "remove":
                self._world.rows.pop(change.key, None)
            else:
                self._world.rows[change.key] = dict(change.data)

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        given = str(state.get("value"))
        return {"uid": given, "gid": given, "sid": f"S-{given}"} if state.get("present") else {}

    def check(self) -> Sequence[Finding]:
        return ()


class Gate(Shaped):
    """Ready when the account exists; writes nothing."""

    def __init__(self, instance: str, world: World) -> None:
        self.lane = instance
        self._world = world

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        return {make_key(self.lane, "resolves", str(params["user"])): {"present": True}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        return {"open": any(not claim.suspended for claim in claims)}

    def prior(self, key: Key, state: State) -> State | None:
        return None

    def _state(self, key: Key) -> State | Fault:
        return {"present": f"lds/account/{split_key(key)[2]}" in self._world.rows}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        if want["open"] and not state["present"]:
            raise NotReady(f"{key} does not resolve")
        return ()

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        return {}

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {}


def handlers(world: World) -> dict[str, Shaped]:
    """Make one handler for each instance."""
    return {name: Gate(name, world) if name == "nss" else Shaped(name, world) for name in KINDS}


def _value(want: Want, state: State) -> Any:
    """Return the value of an open object: as wanted, as it was before us, else unchanged."""
    if want["value"] is not None:
        return want["value"]
    back = given_back(want, lambda name, value: bool(state.get(name) == value))
    return back["value"] if back else state.get("value")


def _change(key: Key, verb: str, wanted: tuple[Any, Any] = (None, None)) -> Change:
    data = {"open": wanted[0], "value": wanted[1]}
    return Change(key, verb, f"{verb} {key}", 0 if verb == "put" else 1, verb, data)
