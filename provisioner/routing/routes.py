"""Routes: the steps of an action as the configuration has them, compiled.

Promises: a route that cannot work is refused before any request; rendering one step's parameters
reports all that cannot be rendered. Leaves out: which instance serves a step, and claims
(`router`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from provisioner.config.schema import StepConfig
from provisioner.contract import ConfigError, InvalidRequest
from provisioner.routing.expressions import Compiled, compile_value, reads, references

_FALSE = {"", "false", "no", "off", "0"}


@dataclass(frozen=True, slots=True)
class Template:
    """A step of a route, compiled. alike: parameters that are the same for each of its users."""

    config: StepConfig
    when: Compiled | None
    parameters: Mapping[str, Compiled]
    used: frozenset[str]
    alike: frozenset[str]


def compiled(
    action: str, route: Sequence[StepConfig], known: Collection[str]
) -> tuple[Template, ...]:
    """Return a compiled route.

    known: the instances of handlers, and their kinds. Raises ConfigError for a route that cannot
    work.
    """
    templates, faults = tried(action, route, known)
    for _, fault in faults:
        raise fault
    return tuple(templates)


def tried(
    action: str, route: Sequence[StepConfig], known: Collection[str]
) -> tuple[list[Template], list[tuple[int, ConfigError]]]:
    """Return the steps of a route that can work, and why each other, by its place, cannot."""
    names: list[str] = []
    templates: list[Template] = []
    faults: list[tuple[int, ConfigError]] = []
    for number, step in enumerate(route):
        try:
            templates.append(_compiled(step, names, known, f"routes.{action}: step {step.name}"))
        except ConfigError as fault:
            faults.append((number, fault))
        names.append(step.name)
    return templates, faults


def _compiled(
    step: StepConfig, names: Collection[str], known: Collection[str], where: str
) -> Template:
    """Return one step, compiled. names: the steps before it; where: names it in an error."""
    if step.name in names:
        raise ConfigError(f"{where} appears twice")
    if step.handler not in known and not step.optional:
        nearest = get_close_matches(step.handler, known, 1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else ""
        raise ConfigError(f"{where}: there is no handler {step.handler!r}", advice=hint)
    template = _template(step, where)
    for need in (*step.needs, *template.used):
        if need not in names:
            raise ConfigError(
                f"{where} needs {need!r}, which is not a step before it",
                advice="put it after the steps that it needs",
            )
    return template


def _template(step: StepConfig, where: str) -> Template:
    """Return one step, compiled; where: names the step in an error."""
    when = condition(step.when) if step.when else None
    try:
        if references(when):
            raise ConfigError(
                "`when` uses the output of a step",
                advice="steps are chosen before any step runs: use the request's own values",
            )
        used = references(step.with_)
        parameters = {key: compile_value(value) for key, value in step.with_.items()}
        alike = frozenset(key for key, value in step.with_.items() if not _varies(value))
        return Template(step, compile_value(when) if when else None, parameters, used, alike)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", advice=error.advice) from None


def _varies(template: object) -> bool:
    return any(name[0] in ("user", "steps") for name in reads(template))


def condition(text: str) -> str:
    """Return a `when`, an expression with braces or without, as a template."""
    return text if "{{" in text else "{{ " + text + " }}"


def _is_true(value: object) -> bool:
    """Return True if the value of a `when` is true; a value of the configuration is text, also
    `false`."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def rendered(
    template: Template, values: Mapping[str, Any], known: Mapping[str, Any] = MappingProxyType({})
) -> Mapping[str, Any]:
    """Return a step's parameters, rendered, except for those that are known.

    Raises InvalidRequest that names all that cannot be rendered.
    """
    try:
        return {
            key: known[key] if key in known else each(values)
            for key, each in template.parameters.items()
        }
    except InvalidRequest:
        faults = []
        for key, each in template.parameters.items():
            try:
                each(values)
            except InvalidRequest as fault:
                fault.field = key
                faults.append(fault)
        faults[0].also = tuple(faults[1:])
        raise faults[0] from None


def taken(template: Template, values: Mapping[str, Any]) -> bool:
    """Return True if a request has a step. Raises InvalidRequest if that cannot be evaluated."""
    if template.when is None:
        return True
    try:
        return _is_true(template.when(values))
    except InvalidRequest as fault:
        fault.field = "when"
        raise
