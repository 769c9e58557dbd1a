"""A site's own program as a handler, in any language.

Promises: the handler runs `PROGRAM observe|plan|apply` with one JSON document on standard input,
and reads one from standard output; it checks all output before it uses it. Leaves out: what the
program does. The protocol is in docs/command-handler.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from provisioner import contract
from provisioner.contract import (
    Change,
    Claim,
    Fault,
    Finding,
    InvalidRequest,
    Key,
    KnownAfter,
    Level,
    NotReady,
    Permanent,
    Scalar,
    Site,
    State,
    Transient,
    Unavailable,
    Unknown,
    Want,
    make_key,
    read_params,
    read_settings,
)

_FAULTS: Mapping[str, type[Fault]] = {
    fault.__name__: fault
    for fault in (contract.Conflict, Permanent, Transient, NotReady, Unavailable, Unknown)
}


class Settings(BaseModel):
    """Which program to run, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: tuple[str, ...] = Field(
        description="program and arguments", examples=[["/usr/local/sbin/our-wiki"]], min_length=1
    )
    timeout: float = Field(60.0, gt=0, description="seconds for one call")
    lane: str | None = Field(None, description="lane; default: one for the program")


class Params(BaseModel):
    """What the program needs to know about one object; any keys."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(description="the object's name", pattern=r"^[a-z_][a-z0-9_.-]{0,63}$")
    kind: str = Field("object", description="the kind of object", pattern=r"^[a-z][a-z0-9_]{0,31}$")


class Command:
    """The handler of one program."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = settings.lane or f"command:{site.instance}"
        self._site = site
        self._settings = settings

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        parsed = read_params(Params, params)
        given = {name: value for name, value in params.items() if name != "kind"}
        for field, value in given.items():
            if not _plain(value):
                raise InvalidRequest(f"{field} is not a plain value", field=field)
        want = {"present": True, **cast(Mapping[str, Any], given)}
        return {make_key(self._site.instance, parsed.kind, parsed.name): want}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        merged: dict[str, Any] = {}
        for claim in sorted(live or claims, key=lambda claim: claim.claimant):
            merged |= claim.want
        return {**merged, "present": bool(claims), "suspended": bool(claims) and not live}

    def prior(self, key: Key, state: State) -> State | None:
        return None

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        answer = self._call("observe", {"keys": sorted(keys)})
        states = _mapping(answer, "states")
        results: dict[Key, State | Fault] = {}
        for key in keys:
            state = states.get(key)
            if not isinstance(state, Mapping) or not isinstance(state.get("present"), bool):
                results[key] = Permanent(
                    f"{key}: the program gave no state with a boolean `present`"
                )
            else:
                results[key] = state
        return results

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        answer = self._call("plan", {"key": key, "want": want, "state": state})
        listed = answer.get("changes")
        if not isinstance(listed, list):
            raise Permanent(f"{key}: the program's plan has no list `changes`")
        return [self._change(key, one) for one in listed]

    def replans(self) -> str:
        """Return the program: it may be exchanged while the service runs."""
        return self._settings.program[0]

    def _change(self, key: Key, planned: object) -> Change:
        if not isinstance(planned, Mapping) or not isinstance(planned.get("verb"), str):
            raise Permanent(f"{key}: the program planned {planned!r}, which has no `verb`")
        text = str(planned.get("text") or planned["verb"])
        phase = planned.get("phase", 0)
        if not isinstance(phase, int):
            raise Permanent(f"{key}: the program's phase {phase!r} is not a number")
        data = cast(Mapping[str, Any], planned.get("data") or {})
        return Change(key, planned["verb"], text, phase, str(planned.get("group") or key), data)

    def apply(self, changes: Sequence[Change]) -> None:
        listed = [
            {"key": one.key, "verb": one.verb, "text": one.text, "data": dict(one.data)}
            for one in changes
        ]
        self._call("apply", {"changes": listed})

    def inventory(self) -> Iterable[tuple[Key, State]]:
        return ()

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        plain = (str, int, float, bool, type(None))
        return {name: value for name, value in state.items() if isinstance(value, plain)}

    def check(self) -> Sequence[Finding]:
        name = self._settings.program[0]
        try:
            self._call("observe", {"keys": []})
        except Fault as fault:
            advice = "check the setting `program`; run it by hand (docs/command-handler.md)"
            return [Finding(Level.ERROR, name, fault.message, advice)]
        return [Finding(Level.OK, name, "answers")]

    def _call(self, verb: str, question: Mapping[str, object]) -> Mapping[str, Any]:
        """Run the program and return its answer.

        Raises the fault that it named, or one that follows from how it ended.
        """
        argv = [*self._settings.program, verb]
        text = json.dumps({"instance": self._site.instance, **question}, default=str)
        done = self._site.run(argv, stdin=text, timeout=self._settings.timeout)
        shown = " ".join(argv)
        if done.timed_out:
            raised = Unknown if verb == "apply" else Unavailable
            raise raised(f"{shown} gave no answer within {self._settings.timeout:g} s")
        try:
            answer = json.loads(done.stdout or "{}")
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Permanent(f"{shown} did not print a JSON mapping: {done.stdout[:200]!r}")
        error = answer.get("error")
        if isinstance(error, Mapping):
            raised_type = _FAULTS.get(str(error.get("type")), Permanent)
            message = f"{shown}: {error.get('message') or 'an error without a message'}"
            raise raised_type(message, advice=str(error.get("advice") or ""))
        if done.returncode != 0:
            words = done.stderr.strip()[:500]
            raise Transient(f"{shown} exited with {done.returncode}: {words}")
        return answer


def _mapping(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    mapping = answer.get(name)
    if not isinstance(mapping, Mapping):
        raise Permanent(f"the program's answer has no mapping `{name}`")
    return mapping


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_plain(inner) for inner in value)
    return value is None or isinstance(value, str | int | float | bool | KnownAfter)


def build(site: Site, settings: Mapping[str, object]) -> Command:
    """Build the handler of one program. Raises ConfigError that names the wrong setting."""
    return Command(site, read_settings(Settings, settings))
