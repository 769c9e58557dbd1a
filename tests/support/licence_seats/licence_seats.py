"""Seats of a licence server, one JSON file for each person: a handler in a package of its own.

Promises: a seat that another service made is never written; a suspended seat is kept, closed.
Leaves out: removing seats.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from provisioner.contract import (
    Change,
    Claim,
    Conflict,
    Fault,
    Finding,
    Handler,
    InvalidRequest,
    Json,
    Key,
    Level,
    Name,
    Scalar,
    Site,
    State,
    Unavailable,
    Want,
    by_age,
    make_key,
    read_params,
    read_settings,
    split_key,
)


class Settings(BaseModel):
    """Settings of a `licence_seat`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path = Field(description="where the licence server reads its seats")


class Params(BaseModel):
    """What a step says about one seat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="who sits there", examples=["jdoe"])
    product: str = Field("solver", description="the program", pattern=r"^[a-z]{1,32}$")


class Seats:
    """Keys `INSTANCE/seat/NAME`."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.lane = f"licences-{site.instance}"
        self._site = site
        self._directory = settings.directory

    # Pure.

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the claim on one seat. Raises InvalidRequest."""
        given = read_params(Params, params)
        return {make_key(self._site.instance, "seat", given.name): {"product": given.product}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want: the newest claim chooses the product; one live claim keeps the seat
        open."""
        live = sorted((claim for claim in claims if not claim.suspended), key=by_age)
        return {"product": live[-1].want["product"] if live else None, "open": bool(live)}

    def prior(self, key: Key, state: State) -> State | None:
        """Return None: a closed seat keeps its product."""
        return None

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the one change. Raises Conflict for a seat that another service made."""
        if not want["open"] and not state["present"]:
            return []
        ours = self._site.service
        product = want["product"] or state.get("product")
        seat: dict[str, Json] = {"product": product, "open": want["open"], "service": ours}
        if state == {"present": True, **seat}:
            return []
        if state["present"] and state["service"] != ours:
            raise Conflict(
                f"{key}: the seat belongs to {state['service']}",
                advice="remove the seat there, then: provisioner retry ID",
            )
        door = "open" if want["open"] else "closed"
        verb = "set" if state["present"] else "create"
        return [Change(key, verb, f"{verb} seat: {product}, {door}", data=seat)]

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return the product for later steps."""
        return {"product": str(state["product"])}

    # Reading.

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Return the states of seats. Raises Unavailable if the directory is missing."""
        if not self._directory.is_dir():
            raise Unavailable(f"{self._directory} is not there", advice="mount it")
        return {key: self._state(self._file(key)) for key in keys}

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Return all seats that a request could name."""
        for file in sorted(self._directory.glob("*.json")):
            try:
                key = make_key(self._site.instance, "seat", file.stem)
            except InvalidRequest:
                continue
            yield key, self._state(file)

    def check(self) -> Sequence[Finding]:
        """Check that the directory exists."""
        if self._directory.is_dir():
            return [Finding(Level.OK, str(self._directory), "is there")]
        return [Finding(Level.ERROR, str(self._directory), "is not there", "mount it")]

    def _file(self, key: Key) -> Path:
        return self._directory / f"{split_key(key)[2]}.json"

    def _state(self, file: Path) -> State:
        try:
            return {"present": True, **json.loads(file.read_text())}
        except FileNotFoundError:
            return {"present": False}

    # Writing.

    def apply(self, changes: Sequence[Change]) -> None:
        """Write each seat completely: the licence server never reads half a file."""
        for change in changes:
            file = self._file(change.key)
            new = file.with_suffix(".new")
            new.write_text(json.dumps(dict(change.data)))
            new.replace(file)


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler. Raises ConfigError that names the wrong setting."""
    return Seats(site, read_settings(Settings, settings))
