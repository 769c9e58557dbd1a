"""A handler that does nothing: what is left is the engine's own cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from provisioner.contract import Change, Claim, Finding, Key, Scalar, State, Want, make_key


class Nothing:
    """Every object is always as it should be."""

    lane = "nothing"

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        return {make_key("nothing", "thing", str(params["name"])): {"present": True}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        return {"present": bool(claims)}

    def prior(self, key: Key, state: State) -> State | None:
        return None

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State]:
        return {key: {"present": True} for key in keys}

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        return ()

    def apply(self, changes: Sequence[Change]) -> None:
        raise AssertionError("nothing is ever planned")

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        return {}

    def check(self) -> Sequence[Finding]:
        return ()
