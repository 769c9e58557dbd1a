"""What is served: the configuration with which the service started, to compare a file with it.

Promises: pure. All options are recorded, with those that have their defaults and the shipped routes
that are in force, so that a newer program's defaults and routes count, too. No secret is: options
name files of secrets. Leaves out: what lies in files that options name, such as templates and
certificates, and the defaults of handlers' own settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.config.schema import Config, default_routes
from provisioner.request import places
from provisioner.request.places import Path as Place


@dataclass(frozen=True, slots=True)
class Served:
    """What a service serves. at: when it was first served, in seconds since the epoch; version: of
    the program; values: every option, as JSON has it."""

    at: float
    version: str
    values: Mapping[str, Any]

    def __str__(self) -> str:
        # Not `asdict`, which copies every value: it takes longer than all the rest of this.
        told = {"at": self.at, "version": self.version, "values": self.values}
        return json.dumps(told, separators=(",", ":"))

    def is_same(self, other: Served) -> bool:
        """Return True if another start serves the same."""
        return (self.version, self.values) == (other.version, other.values)

    @classmethod
    def parse(cls, text: str) -> Served:
        """Read what `str` wrote."""
        read = json.loads(text)
        return cls(read["at"], read["version"], read["values"])


@dataclass(frozen=True, slots=True)
class Difference:
    """An option that is not as it is served. before, after: as JSON has it, None: not set; line:
    where the file sets it, None if it does not."""

    place: Place
    before: Any
    after: Any
    line: int | None = None

    @property
    def key(self) -> str:
        """Return the option as people write it."""
        return places.dotted(self.place)


def values(config: Config) -> dict[str, Any]:
    """Return every option of a configuration, and the route in force of each action."""
    own = {action: route for action, route in config.routes.items() if route}
    whole = config.model_copy(update={"routes": {**default_routes(), **own}})
    plain: dict[str, Any] = json.loads(whole.model_dump_json(by_alias=True))
    return plain


def differences(
    served: Mapping[str, Any], now: Mapping[str, Any], lines: Mapping[Place, int]
) -> list[Difference]:
    """Return what differs, in the order of `now`. lines: of the file that says `now`.

    A default of an option that the served program did not know is no difference.
    """
    return list(_differing(served, now, (), (), lines))


def _differing(
    before: Any, after: Any, shown: Place, place: Place, lines: Mapping[Place, int]
) -> Iterator[Difference]:
    """Yield what differs below a place. shown: the same place, with names of steps for numbers."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*after, *before]):
            inner = (*place, name)
            if name not in before and inner not in lines and shown[:1] != ("routes",):
                continue
            yield from _differing(before.get(name), after.get(name), (*shown, name), inner, lines)
    elif _named(before) and _named(after):
        yield from _steps(before, after, shown, place, lines)
    elif _parts(before) and _parts(after):
        for number in range(max(len(before), len(after))):
            old, new = (some[number] if number < len(some) else None for some in (before, after))
            yield from _differing(old, new, (*shown, number), (*place, number), lines)
    elif before != after:
        yield Difference(shown, before, after, lines.get(place) if after is not None else None)


def _steps(
    before: Sequence[Any],
    after: Sequence[Any],
    shown: Place,
    place: Place,
    lines: Mapping[Place, int],
) -> Iterator[Difference]:
    """Yield what differs in a list of named parts; an order that differs is one difference."""
    old, new = ({part["name"]: part for part in some} for some in (before, after))
    for number, part in enumerate(after):
        name = part["name"]
        yield from _differing(old.get(name), part, (*shown, name), (*place, number), lines)
    for name in old.keys() - new.keys():
        yield Difference((*shown, name), old[name], None)
    kept = [[name for name in some if name in old and name in new] for some in (old, new)]
    if kept[0] != kept[1]:
        yield Difference(shown, list(old), list(new), lines.get(place))


def _parts(some: Any) -> bool:
    return isinstance(some, list) and all(isinstance(part, Mapping) for part in some)


def _named(some: Any) -> bool:
    names = {part.get("name") for part in some} - {None} if _parts(some) else set()
    return _parts(some) and len(names) == len(some)
