"""Routing: from a request to the steps that make it true, and from steps to claims.

Promises: a request is routed completely or refused with every reason. Parameters from an earlier
step stay open (`KnownAfter`); the handler checks all others. Leaves out: writing anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioner.config.schema import Config, default_routes
from provisioner.contract import (
    ConfigError,
    Handler,
    InvalidRequest,
)
from provisioner.request.documents import InvalidDocument, Problem, in_order
from provisioner.request.places import dotted
from provisioner.request.request import Request, parse_request
from provisioner.routing import homes, source_keys
from provisioner.routing.choices import Choices, Chosen, unknown_resource
from provisioner.routing.expressions import Pending, reads
from provisioner.routing.rendering import Outputs, Rendering, Step
from provisioner.routing.routes import compiled, condition


class _Given(dict[str, Any]):
    """Outputs of a step: an output that a handler did not give is None."""

    def __missing__(self, name: str) -> None:
        return None


_LEFT_OUT: Mapping[str, Any] = {"output": _Given()}


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
        self._choices = Choices(config, handlers, kinds)
        shipped = default_routes()
        known = {*handlers, *kinds.values()}
        self._routes = {
            action: compiled(action, config.routes.get(action) or shipped[action], known)  # type: ignore[call-overload]
            for action in shipped
        }
        self._check_homes()

    @property
    def lanes(self) -> dict[str, str]:
        """Return the lane of each instance."""
        return {instance: handler.lane for instance, handler in self._handlers.items()}

    def _check_homes(self) -> None:
        """Refuse routes that make homes at another path than accounts name them, for any person."""
        steps, _ = self._steps(parse_request(homes.SAMPLE))
        for problem in homes.apart([one for step in steps for one in step.lodged]):
            raise ConfigError(f"routes.user.provision: {problem.message}", advice=problem.expected)

    def route(self, request: Request) -> tuple[Step, ...]:
        """Return the steps of a request, each after those that it needs.

        Raises InvalidDocument with every reason why it cannot be routed.
        """
        _check_listed(request)
        problems = unknown_resource(self._config, request)
        if problems:
            nearest = problems[0].nearest
            meant = replace(request, resource=nearest)
            more = self._steps(meant)[1] if nearest else []
            raise InvalidDocument(in_order([*problems, *more]))
        steps, problems = self._steps(request)
        if not request.spares:
            problems += [why for step in steps for why in step.left_out.values()]
        if problems:
            raise InvalidDocument(in_order(problems))
        return tuple(steps)

    def _steps(self, request: Request) -> tuple[list[Step], list[Problem]]:
        """Return a request's steps as far as it can be routed, and all problems."""
        values = self._base(request)
        chosen, problems = self._chosen(request, values)
        steps: list[Step] = []
        for choice in chosen:
            behind = _left_out(choice, steps)
            here = set(request.users) - behind if behind else None
            try:
                step = self._step(request, choice, values, {}, here)
            except InvalidDocument as found:
                problems += found.problems
            else:
                steps.append(_spared(request, step, behind))
        problems += homes.apart([choice for step in steps for choice in step.lodged])
        return steps, problems

    def reads(self, request: Request, name: tuple[str, ...]) -> bool:
        """Return True if a step of a request reads a value, such as `allocation.quota.space`."""
        chosen, _ = self._chosen(request, self._base(request))
        steps = [choice.template.config for choice in chosen]
        conditions = [condition(step.when) for step in steps if step.when]
        used = reads([*(step.with_ for step in steps), *conditions])
        # A step that reads `allocation.quota` has all of it.
        return any(one == name[: len(one)] for one in used)

    def bind(
        self, request: Request, step: str, outputs: Outputs, users: Collection[str] | None = None
    ) -> Step:
        """Return one step, rendered again with the outputs of earlier steps.

        users: those whose part is rendered, if the step has parts for users; None: all of it.

        Raises InvalidRequest if the values do not suit the handler, or the configuration no longer
        has such a step.
        """
        _check_listed(request)
        values = self._base(request)
        for choice in self._chosen(request, values)[0]:
            if choice.template.config.name == step:
                try:
                    return self._step(request, choice, values, outputs, users)
                except InvalidDocument as found:
                    first = found.problems[0]
                    raise InvalidRequest(
                        "; ".join(map(str, found.problems)), field=first.key, line=first.line
                    ) from None
        raise InvalidRequest(
            f"step {step} is no longer in the route of {request.action}",
            advice="the configuration changed meanwhile: send the request again",
        )

    # Choosing.

    def _chosen(
        self, request: Request, base: Mapping[str, Any]
    ) -> tuple[list[Chosen], list[Problem]]:
        return self._choices.of(self._routes.get(request.action, ()), request, base)

    # Rendering.

    def _base(self, request: Request) -> dict[str, Any]:
        resource = self._config.resources.get(request.resource or "")
        return {
            **request.values,
            "resource": {"name": request.resource, **(resource.settings if resource else {})},
            "site": self._config.site,
        }

    def _items(self, request: Request, one: Chosen) -> Sequence[str]:
        return request.users if one.template.config.each else ("",)

    def _values(
        self, request: Request, choice: Chosen, base: Mapping[str, Any], outputs: Outputs
    ) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Yield what expressions may use, for each user if the step has parts for users."""
        used = choice.template.used
        for item in self._items(request, choice):
            values = dict(base)
            if item:
                values["user"] = item
            if used:
                values["steps"] = {name: self._output(name, item, choice, outputs) for name in used}
            yield item, values

    def _output(self, name: str, item: str, one: Chosen, outputs: Outputs) -> Mapping[str, Any]:
        if name not in one.needs:
            return _LEFT_OUT
        given = outputs.get((name, item), outputs.get((name, "")))
        return {"output": Pending(name) if given is None else _Given(given)}

    def _step(
        self,
        request: Request,
        choice: Chosen,
        base: Mapping[str, Any],
        outputs: Outputs,
        users: Collection[str] | None = None,
    ) -> Step:
        """Return one step. Raises InvalidDocument with all its mistakes."""
        rendering = Rendering(request, choice, self._handlers[choice.instance], bound=bool(outputs))
        for item, values in self._values(request, choice, base, outputs):
            if users is not None and item not in users:
                continue
            rendering.add(item, values)
            if rendering.hopeless:
                break
        return rendering.step()


def _left_out(chosen: Chosen, steps: Sequence[Step]) -> set[str]:
    """Return the users for whom a step cannot begin, because a step that it needs goes without
    them."""
    if not chosen.template.config.each:
        return set()
    return {user for step in steps if step.name in chosen.needs for user in step.left_out}


def _spared(request: Request, step: Step, behind: Collection[str]) -> Step:
    """Return a step with notes on users it goes without. behind: those whom a step before goes
    without."""
    where = f"step {step.name} ({step.instance})"
    why = "a step that it needs goes without them"
    people = source_keys.People(request) if behind else {}
    left_out = dict(step.left_out) | {
        user: Problem(None, dotted(people[user]), f"{where}: {why}") for user in behind
    }
    if not (left_out and request.spares):
        return step
    notes = [
        replace(why, message=f"{user} is left out of {why.message}")
        for user, why in left_out.items()
    ]
    return replace(step, notes=(*step.notes, *notes), left_out=left_out)


def _check_listed(request: Request) -> None:
    """Refuse a request whose users were not read: otherwise everybody would lose access."""
    if request.users_file is not None:
        raise InvalidRequest(
            f"the users in {request.users_file.file} were not read",
            field="users_file",
            expected="the request sent again, with its file",
        )
