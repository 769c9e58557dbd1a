"""Every mistake of a configuration at once: its form, its handlers, resources and routes.

Promises: each problem has its key, its line and the nearest right name; one hides no other. Asks no
backend. Leaves out: what is wrong with the host and the backends (`doctor`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from provisioner.config.schema import Config, examined
from provisioner.contract import ConfigError, Handler, validation
from provisioner.contract.abilities import Counted, MetersUsers, Witnesses, able
from provisioner.request import places
from provisioner.request.documents import Problem, advised, in_order
from provisioner.routing.routes import tried
from provisioner.wiring import build


def problems(path: Path) -> list[Problem]:
    """Return every mistake of a configuration, in the order of the file.

    Raises ConfigError if the file cannot be read.
    """
    read = examined(path)
    found = list(read.problems)
    if read.config is not None:
        for place, problem in _parts(read.config):
            if not any(place[: len(path)] == path for path in read.wrong):
                line = _line(read.lines, place)
                found.append(replace(problem, line=line, key=places.dotted(place)))
        if not found:
            found += _whole(read.config)
    return in_order(found)


def _parts(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    yield from _handlers(config)
    yield from _resources(config)
    yield from _routes(config)
    yield from _schedules(config)
    yield from _idle(config)
    yield from _counting(config)


def _line(lines: Mapping[places.Path, int], place: places.Path) -> int | None:
    """Return the line of a key, or of the nearest one around it."""
    around = (place[:length] for length in range(len(place), 0, -1))
    return next((lines[path] for path in around if path in lines), None)


def _handlers(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    """Build each handler by itself, so that a wrong one hides no other."""
    for name, instance in config.handlers.items():
        alone = {"handlers": {name: instance}, "resources": {}, "routes": {}}
        try:
            build(config.model_copy(update=alone))
        except ConfigError as error:
            for fault in error.settings:
                place = ("handlers", name, *places.path_of(fault.field))
                yield place, Problem(None, "", fault.message, fault.expected, fault.nearest)
            if not error.settings:
                message = error.message.removeprefix(f"handlers.{name}: ")
                yield ("handlers", name), Problem(None, "", advised(message, error.advice))


def _resources(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    known = f"one of {', '.join(config.handlers)}" if config.handlers else "none is configured"
    for name, resource in config.resources.items():
        for number, instance in enumerate(resource.handlers):
            if instance not in config.handlers:
                near = validation.nearest(instance, config.handlers)
                why = f"there is no handler {instance!r}"
                problem = Problem(None, "", why, known, near)
                yield ("resources", name, "handlers", number), problem


def _routes(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    known = {*config.handlers, *(instance.use for instance in config.handlers.values())}
    for action, route in config.routes.items():
        for number, fault in tried(action, route, known)[1]:
            message = fault.message.removeprefix(f"routes.{action}: ")
            problem = Problem(None, "", advised(message, fault.advice))
            yield ("routes", action, number), problem


def _schedules(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    """Find names in the schedule of drift that no handler, lane or kind has."""
    known = {*config.handlers, *(instance.use for instance in config.handlers.values())}
    unknown = [name for name in config.drift.every if name not in known]
    if unknown:
        with suppress(ConfigError):  # which has a problem of its own
            known |= set(build(config).lanes.values())
    for name in unknown:
        if name not in known:
            near = validation.nearest(name, known)
            why = f"there is no handler, lane or kind {name!r}"
            listed = f"one of {', '.join(sorted(known))}" if known else "none is configured"
            problem = Problem(None, "", why, listed, near)
            yield ("drift", "every", name), problem


def _counting(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    """Find homes whose users a handler should count that does not."""
    handlers: Mapping[str, Handler] = {}
    with suppress(ConfigError):  # which has a problem of its own
        handlers = build(config).handlers
    able_to = [name for name, handler in handlers.items() if able(handler, MetersUsers)]
    for name, handler in handlers.items():
        by = handler.counted_by().partition(":")[0] if able(handler, Counted) else ""
        if by and by not in able_to:
            why = f"{by!r} is not a handler that reads quotas of users"
            listed = f"one of {', '.join(able_to)}" if able_to else "a `gpfs_fileset`"
            problem = Problem(None, "", why, listed, validation.nearest(by, able_to))
            yield ("handlers", name, "quotas"), problem


def _idle(config: Config) -> Iterator[tuple[places.Path, Problem]]:
    """Find sources of last use that are neither a program nor a handler that knows it."""
    named = [name for name, one in config.idle.sources.items() if one.program is None]
    able_ones = list(config.handlers)
    if named:
        with suppress(ConfigError):  # which has a problem of its own
            handlers = build(config).handlers
            able_ones = [name for name, one in handlers.items() if able(one, Witnesses)]
    for name in named:
        if name not in able_ones:
            why = f"there is no handler {name!r}"
            if name in config.handlers:
                why = f"{name!r} does not know when people last used it"
            listed = f"one of {', '.join(able_ones)}, or " if able_ones else ""
            near = validation.nearest(name, able_ones)
            yield ("idle", "sources", name), Problem(None, "", why, f"{listed}a `program`", near)


def _whole(config: Config) -> list[Problem]:
    """Build everything together: what only then is wrong."""
    try:
        build(config)
    except ConfigError as error:
        return [Problem(None, "", advised(error.message, error.advice))]
    return []
