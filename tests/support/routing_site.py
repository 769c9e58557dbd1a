"""Sites for tests of routing: a router of a configuration, over handlers that claim anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.config.schema import Config, load
from provisioner.contract import (
    Change,
    Claim,
    ConfigError,
    Fault,
    Finding,
    InvalidRequest,
    Key,
    Permanent,
    Scalar,
    State,
    Want,
    make_key,
    not_supported,
)
from provisioner.request.request import Request, parse_request
from provisioner.routing.router import Router


class Claimant:
    """A handler that claims anything that it is given, as one object with the first parameter's
    name."""

    def __init__(self, instance: str) -> None:
        self.lane = instance

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        first, name = next(iter(params.items()))
        if name in ("bad", "worse"):
            raise InvalidRequest(f"{name!r} is no {first}", field=first, nearest="good")
        if name == "broken":
            raise Permanent("it is broken", advice="mend it")
        want: dict[str, Any] = {key: value for key, value in params.items() if key != first}
        return {make_key(self.lane, first, str(name)): want}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        not_supported("merging")

    def prior(self, key: Key, state: State) -> State | None:
        not_supported("saving")

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        not_supported("observing")

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        not_supported("planning")

    def apply(self, changes: Sequence[Change]) -> None:
        not_supported("writing")

    def inventory(self) -> Iterable[tuple[Key, State]]:
        not_supported("listing")

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        not_supported("giving")

    def check(self) -> Sequence[Finding]:
        return ()


class Site:
    """Routers of configurations in a directory."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def router(self, text: str) -> Router:
        self.file.write_text(f"service: hpc1\nspool: s\njournal: j\n{text}")
        config: Config = load(self.file)
        kinds = {name: section.use for name, section in config.handlers.items()}
        return Router(config, {name: Claimant(name) for name in kinds}, kinds)

    def refused(self, text: str) -> ConfigError:
        with pytest.raises(ConfigError) as raised:
            self.router(text)
        return raised.value


def request(action: str, body: str) -> Request:
    return parse_request(f"provisioner: 1\naction: {action}\n{body}".encode())


def user(more: str = "", head: str = "") -> Request:
    return request("user.provision", f"{head}user: {{name: jdoe{more}}}")


def allocation(resource: str = "a", users: str = "jdoe, asmith", more: str = "") -> Request:
    body = f"id: 42, resource: {resource}, project: {{code: CF3}}, users: [{users}]{more}"
    return request("allocation.provision", f"allocation: {{{body}}}")


MEMBERSHIP = request(
    "membership.add",
    "membership: {user: jdoe, allocation: {id: 42, resource: a, project: {code: CF3}}}",
)

STORAGE = "handlers: {fs1: {use: gpfs_fileset}}\nresources: {a: {handlers: [fs1]}}\n"
COMPUTE = "handlers: {sl: {use: slurm}, nss: {use: nss_gate}}\nresources: {a: {handlers: [sl]}}\n"


def steps(router: Router, of: Request) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, instance and needs of each step."""
    return [(step.name, step.instance, step.needs) for step in router.route(of)]


ROUTE = """\
handlers: {{x: {{use: one}}, y: {{use: two}}}}
site: {{domain: campus.test}}
resources: {{a: {{handlers: [], settings: {{tier: fast, off: no}}}}}}
routes:
  {action}:
    - {{name: first, handler: x, with: {first}}}
    - {{name: second, handler: y, {more}with: {second}}}
"""


def routed(
    site: Site,
    *,
    action: str = "user.provision",
    first: str = '{item: "{{ user.name }}"}',
    second: str = "{item: other}",
    more: str = "",
) -> Router:
    return site.router(ROUTE.format(action=action, first=first, second=second, more=more))
