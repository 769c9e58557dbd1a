"""Routing: from a request to the steps that make it true, and from steps to claims.

Promises: a request is routed whole or refused with every reason; parameters that an earlier step
gives are left open (`KnownAfter`), all others are checked by the handler. Leaves out: writing
anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from provisioner import homes, origins
from provisioner.abilities import Adapts, Lodges
from provisioner.config import Config, StepConfig, default_routes
from provisioner.contract import (
    ConfigError,
    Fault,
    Handler,
    InvalidRequest,
    Json,
    Key,
    KnownAfter,
    Scalar,
    Want,
)
from provisioner.documents import InvalidDocument, Problem, advised, in_order
from provisioner.homes import Lodged
from provisioner.rendering import Pending
from provisioner.request import Request, parse_request
from provisioner.routes import Template, compiled, condition, rendered, taken

Outputs = Mapping[tuple[str, str], Mapping[str, Scalar]]
"""What steps gave, by (step, item)."""


@dataclass(frozen=True, slots=True)
class StepClaim:
    """One claim of a step. want None: it is known only after another step."""

    claimant: str
    key: Key
    want: Want | None
    item: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one request. late: the steps that some of its parameters come from; told: what
    its handler holds otherwise than it was written; lodged: where it says that homes are."""

    name: str
    instance: str
    needs: tuple[str, ...]
    claims: tuple[StepClaim, ...]
    late: frozenset[str]
    told: tuple[Problem, ...] = ()
    lodged: tuple[Lodged, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """A step with the parameters that its handler is given, for `plan` and for tests."""

    name: str
    instance: str
    needs: tuple[str, ...]
    parameters: tuple[tuple[str, Mapping[str, Any]], ...]


class _Given(dict[str, Any]):
    """Outputs of a step: what a handler did not give is None."""

    def __missing__(self, name: str) -> None:
        return None


_LEFT_OUT: Mapping[str, Any] = {"output": _Given()}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A step that a request takes, with the instance that serves it."""

    template: Template
    instance: str
    needs: tuple[str, ...]


class Router:
    """Routes requests by the configuration.

    Raises ConfigError at construction for routes that cannot work.
    """

    def __init__(
        self, config: Config, handlers: Mapping[str, Handler], kinds: Mapping[str, str]
    ) -> None:
        """kinds: the kind of handler of each instance."""
        self._config = config
        self._handlers = handlers
        self._kinds = kinds
        self._bound = {name for r in config.resources.values() for name in r.handlers}
        _check_resources(config, handlers)
        shipped = default_routes()
        known = {*handlers, *kinds.values()}
        self._routes = {
            action: compiled(action, config.routes.get(action) or shipped[action], known)  # type: ignore[call-overload]
            for action in shipped
        }
        self._check_homes()

    def _check_homes(self) -> None:
        """Refuse routes that make homes elsewhere than accounts name them, whoever it is."""
        steps, _ = self._steps(parse_request(homes.SAMPLE))
        for problem in homes.apart([one for step in steps for one in step.lodged]):
            raise ConfigError(f"routes.user.provision: {problem.message}", advice=problem.expected)

    def route(self, request: Request) -> tuple[Step, ...]:
        """Return the steps of a request, each after those that it needs.

        Raises InvalidDocument with every reason why it cannot be routed.
        """
        _check_listed(request)
        problems = self._of_resource(request)
        if problems:
            nearest = problems[0].nearest
            meant = replace(request, resource=nearest)
            more = self._steps(meant)[1] if nearest else []
            raise InvalidDocument(in_order([*problems, *more]))
        steps, problems = self._steps(request)
        if problems:
            raise InvalidDocument(in_order(problems))
        return tuple(steps)

    def _steps(self, request: Request) -> tuple[list[Step], list[Problem]]:
        """Route a request as far as it can be: its steps, and all that is wrong."""
        values = self._base(request)
        chosen, problems = self._chosen(request, values)
        steps = []
        for one in chosen:
            try:
                steps.append(self._step(request, one, values, {}))
            except InvalidDocument as found:
                problems += found.problems
        problems += homes.apart([one for step in steps for one in step.lodged])
        return steps, problems

    def bind(
        self, request: Request, step: str, outputs: Outputs, users: Collection[str] | None = None
    ) -> Step:
        """Render one step anew with what earlier steps gave.

        users: those whose part is rendered, where the step goes through users; None: all of it.

        Raises InvalidRequest when the values do not suit the handler, or the configuration has
        no such step any more.
        """
        _check_listed(request)
        values = self._base(request)
        for one in self._chosen(request, values)[0]:
            if one.template.config.name == step:
                try:
                    return self._step(request, one, values, outputs, users)
                except InvalidDocument as found:
                    first = found.problems[0]
                    raise InvalidRequest(
                        "; ".join(map(str, found.problems)), field=first.key, line=first.line
                    ) from None
        raise InvalidRequest(
            f"step {step} is no longer in the route of {request.action}",
            advice="the configuration changed meanwhile: send the request again",
        )

    def explain(self, request: Request) -> tuple[Explained, ...]:
        """Return the parameters of each step, with KnownAfter for what is not known yet."""
        values = self._base(request)
        chosen, problems = self._chosen(request, values)
        if problems:
            raise InvalidDocument(problems)
        return tuple(
            Explained(
                one.template.config.name,
                one.instance,
                one.needs,
                tuple(self._parameters(request, one, values, {})),
            )
            for one in chosen
        )

    # Choosing.

    def _chosen(
        self, request: Request, base: Mapping[str, Any]
    ) -> tuple[list[_Chosen], list[Problem]]:
        """Choose the steps that a request takes; with what is wrong about the others."""
        route = self._routes.get(request.action, ())
        found: dict[str, _Chosen] = {}
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
            needs = tuple(name for name in wanted if name in found)
            found[template.config.name] = _Chosen(template, instance, needs)
        return list(found.values()), problems

    def _of_resource(self, request: Request) -> list[Problem]:
        """Say that a resource is unknown."""
        resources = self._config.resources
        if request.resource is None or request.resource in resources:
            return []
        nearest = get_close_matches(request.resource, resources, 1, 0.4)
        why = f"there is no resource {request.resource!r}"
        known = f"one of {', '.join(sorted(resources))}" if resources else "none is configured"
        key = request.resource_key
        return [request.placed(Problem(None, key, why, known, nearest[0] if nearest else ""))]

    def _instance(self, step: StepConfig, request: Request) -> str | None:
        """Return the instance that serves a step, or None where it is left out."""
        if step.handler in self._handlers and step.handler not in self._kinds.values():
            return step.handler
        resource = self._config.resources.get(request.resource or "")
        own = [n for n in (resource.handlers if resource else ()) if self._serves(n, step.handler)]
        free = [n for n in self._handlers if n not in self._bound and self._serves(n, step.handler)]
        found = own or free
        if len(found) == 1:
            return found[0]
        if not found and step.optional:
            return None
        if not found:
            raise InvalidRequest(
                f"step {step.name}: no {step.handler} serves {request.resource or 'this site'}",
                field=request.resource_key,
                advice="name one under `resources` in the configuration",
            )
        raise InvalidRequest(
            f"step {step.name}: {', '.join(found)} could serve it",
            field=request.resource_key,
            advice="name one of them as the step's `handler`, or under one resource each",
        )

    def _serves(self, instance: str, handler: str) -> bool:
        return handler in (instance, self._kinds.get(instance))

    # Rendering.

    def _base(self, request: Request) -> dict[str, Any]:
        resource = self._config.resources.get(request.resource or "")
        return {
            **request.values,
            "resource": {"name": request.resource, **(resource.settings if resource else {})},
            "site": self._config.site,
        }

    def _items(self, request: Request, one: _Chosen) -> Sequence[str]:
        return request.users if one.template.config.each else ("",)

    def _parameters(
        self, request: Request, one: _Chosen, base: Mapping[str, Any], outputs: Outputs
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for item, values in self._values(request, one, base, outputs):
            yield item, rendered(one.template, values)

    def _values(
        self, request: Request, one: _Chosen, base: Mapping[str, Any], outputs: Outputs
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give what expressions may use, for each user where the step goes through them."""
        used = one.template.used
        for item in self._items(request, one):
            values = dict(base)
            if item:
                values["user"] = item
            if used:
                values["steps"] = {name: self._output(name, item, one, outputs) for name in used}
            yield item, values

    def _output(self, name: str, item: str, one: _Chosen, outputs: Outputs) -> Mapping[str, Any]:
        if name not in one.needs:
            return _LEFT_OUT
        given = outputs.get((name, item), outputs.get((name, "")))
        return {"output": Pending(name) if given is None else _Given(given)}

    def _step(
        self,
        request: Request,
        one: _Chosen,
        base: Mapping[str, Any],
        outputs: Outputs,
        users: Collection[str] | None = None,
    ) -> Step:
        """Make one step. Raises InvalidDocument with all that is wrong with it."""
        handler = self._handlers[one.instance]
        where = f"step {one.template.config.name} ({one.instance})"
        with_ = one.template.config.with_
        told: list[Problem] = []
        lodged: list[Lodged] = []
        late: set[str] = set()
        claims: list[StepClaim] = []
        wrong: list[tuple[str, Fault, Any]] = []
        alike: Mapping[str, Any] = {}
        for item, values in self._values(request, one, base, outputs):
            if users is not None and item not in users:
                continue
            try:
                parameters = rendered(one.template, values, alike)
                alike = {key: parameters[key] for key in one.template.alike}
                given = {key: value for key, value in parameters.items() if value is not None}
                wanted = _claims(handler, given, request.adopt)
                if isinstance(handler, Lodges) and (home := handler.home(given)):
                    lodged.append(Lodged(where, one.instance, home))
                if isinstance(handler, Adapts):
                    for name, said in handler.adapted(given).items():
                        fault = InvalidRequest(said, field=name)
                        told.append(origins.problem(request, fault, where, with_, item))
            except Fault as fault:
                before = values.get("steps") if outputs else None
                every = (fault, *getattr(fault, "also", ()))
                wrong += [(item, each, before) for each in every]
                continue
            waits = {step for value in parameters.values() for step in _late(value)}
            late |= waits
            whole = f"{request.subject}/user:{item}"
            claimant = (
                whole if item and not request.subject.endswith(f"user:{item}") else request.subject
            )
            for key, want in wanted.items():
                claims.append(StepClaim(claimant, key, None if waits else want, item))
        if wrong:
            found = [
                origins.problem(request, fault, where, with_, item, before)
                for item, fault, before in wrong
            ]
            raise InvalidDocument(list(dict.fromkeys(found)))
        notes = tuple(dict.fromkeys(told))
        name = one.template.config.name
        waited = frozenset(late)
        return Step(name, one.instance, one.needs, tuple(claims), waited, notes, tuple(lodged))


def _check_listed(request: Request) -> None:
    """Refuse a request whose users were not read: without them everybody would lose access."""
    if request.users_file is not None:
        raise InvalidRequest(
            f"the users in {request.users_file.file} were not read",
            field="users_file",
            expected="the request sent anew, with its file",
        )


def _claims(handler: Handler, given: Mapping[str, Any], adopt: bool) -> Mapping[Key, Want]:
    """Ask a handler for claims; a request that adopts says so to those that can take over."""
    if not adopt or "adopt" in given:
        return handler.claims(given)
    try:
        return handler.claims({**given, "adopt": True})
    except InvalidRequest as fault:
        if fault.field != "adopt":
            raise
    return handler.claims(given)


def _late(value: Json | KnownAfter | object) -> Iterable[str]:
    if isinstance(value, KnownAfter):
        yield value.step
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _late(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _late(inner)


def _check_resources(config: Config, handlers: Mapping[str, Handler]) -> None:
    for name, resource in config.resources.items():
        for instance in resource.handlers:
            if instance not in handlers:
                nearest = get_close_matches(instance, handlers, 1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else ""
                raise ConfigError(
                    f"resources.{name}: there is no handler {instance!r}", advice=hint
                )


def _unchosen(request: Request, step: StepConfig, fault: InvalidRequest) -> Problem:
    """Tell why a step cannot be chosen, or whether it is to be."""
    if fault.field == "when" and step.when:
        asked = {"when": condition(step.when)}
        return origins.problem(request, fault, f"step {step.name}", asked)
    why = advised(fault.message, fault.advice)
    told = Problem(None, fault.field, why, fault.expected, fault.nearest)
    return request.placed(told)
