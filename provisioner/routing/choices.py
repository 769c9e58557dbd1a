"""Choices: which steps of a route a request has, and which instance serves each.

Promises: if no resource or handler fits, the error suggests the nearest one. Leaves out: parameters
and claims (`router`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.config.schema import Config, StepConfig
from provisioner.contract import ConfigError, Handler, InvalidRequest, validation
from provisioner.plain.values import value
from provisioner.request.documents import Problem, advised
from provisioner.request.request import Request
from provisioner.routing import source_keys
from provisioner.routing.routes import Template, condition, taken


@value(frozen=True, slots=True)
class Chosen:
    """A step of a request, with the instance that serves it."""

    template: Template
    instance: str
    needs: tuple[str, ...]


class Choices:
    """What a site offers to choose from.

    Raises ConfigError at construction for resources that name no handler.
    """

    def __init__(
        self, config: Config, handlers: Mapping[str, Handler], kinds: Mapping[str, str]
    ) -> None:
        """kinds: the kind of handler of each instance."""
        _check_resources(config, handlers)
        self._config = config
        self._handlers = handlers
        self._kinds = kinds
        self._bound = {name for r in config.resources.values() for name in r.handlers}

    def of(
        self, route: Sequence[Template], request: Request, base: Mapping[str, Any]
    ) -> tuple[list[Chosen], list[Problem]]:
        """Return the steps that a request has, and the problems of the others."""
        chosen: dict[str, Chosen] = {}
        problems: list[Problem] = []
        for template in route:
            try:
                instance = self._instance(template.config, request)
                if instance is None or not taken(template, base):
                    continue
            except InvalidRequest as fault:
                problems.append(_unchosen(request, template.config, fault))
                continue
            wanted = dict.fromkeys((*template.config.needs, *sorted(template.used)))
            needs = tuple(name for name in wanted if name in chosen)
            chosen[template.config.name] = Chosen(template, instance, needs)
        return list(chosen.values()), problems

    def _instance(self, step: StepConfig, request: Request) -> str | None:
        """Return the instance that serves a step, or None if the step is left out."""
        if step.handler in self._handlers and step.handler not in self._kinds.values():
            return step.handler
        resource = self._config.resources.get(request.resource or "")
        own = [n for n in (resource.handlers if resource else ()) if self._serves(n, step.handler)]
        free = [n for n in self._handlers if n not in self._bound and self._serves(n, step.handler)]
        candidates = own or free
        if len(candidates) == 1:
            return candidates[0]
        if not candidates and step.optional:
            return None
        if not candidates:
            raise InvalidRequest(
                f"step {step.name}: no {step.handler} serves {request.resource or 'this site'}",
                field=request.resource_key,
                advice="add one under `resources` in the configuration",
            )
        raise InvalidRequest(
            f"step {step.name}: {', '.join(candidates)} could serve it",
            field=request.resource_key,
            advice="set one of them as the step's `handler`, or put each under its own resource",
        )

    def _serves(self, instance: str, handler: str) -> bool:
        return handler in (instance, self._kinds.get(instance))


def unknown_resource(config: Config, request: Request) -> list[Problem]:
    """Return a problem if the request's resource is unknown."""
    resources = config.resources
    if request.resource is None or request.resource in resources:
        return []
    near = validation.nearest(request.resource, resources)
    why = f"there is no resource {request.resource!r}"
    known = f"one of {', '.join(sorted(resources))}" if resources else "none is configured"
    key = request.resource_key
    return [request.placed(Problem(None, key, why, known, near))]


def _check_resources(config: Config, handlers: Mapping[str, Handler]) -> None:
    for name, resource in config.resources.items():
        for instance in resource.handlers:
            if instance not in handlers:
                near = validation.nearest(instance, handlers)
                hint = f"did you mean {near!r}?" if near else ""
                raise ConfigError(
                    f"resources.{name}: there is no handler {instance!r}", advice=hint
                )


def _unchosen(request: Request, step: StepConfig, fault: InvalidRequest) -> Problem:
    """Return the problem of a step for which nothing can be chosen, or whose `when` fails."""
    if fault.field == "when" and step.when:
        asked = {"when": condition(step.when)}
        return source_keys.problem(request, fault, f"step {step.name}", asked)
    why = advised(fault.message, fault.advice)
    told = Problem(None, fault.field, why, fault.expected, fault.nearest)
    return request.placed(told)
