"""Stand-ins for tests of handlers: a site, a host, a ledger, and a service that is killed.

Promises: nothing here touches the machine except the programs that a handler runs.
Leaves out: backends, and what a handler must satisfy (`testing`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from provisioner.contract import (
    Change,
    Claim,
    ConfigError,
    Conflict,
    DirectoryState,
    Handler,
    Host,
    Key,
    Owner,
    Permanent,
    Run,
    Site,
    State,
)
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item
from provisioner.objects.states import Adoption
from provisioner.routing import expressions
from provisioner.system import process

Params = Mapping[str, object]

HOSTILE = (
    *("../x", "..", "x/y", "-x", "a b", "a\n", "\n", "a\x00", "a,b", "a=b", "a:b", "*", "a)(cn=*"),
    *("$(id)", "a;id", "a|b", "`id`", "a'b", 'a"b', "{{ x }}", "jürgen", "\u202eab", "x" * 300),
)
"""Names that no handler passes to a backend."""


class FakeHost:
    """A host that only remembers its directories, and on which everything is mounted.

    directories: the existing ones, by path.
    """

    def __init__(self) -> None:
        self.directories: dict[Path, DirectoryState] = {}

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        """Return what is at a path."""
        return self.directories.get(root / path, DirectoryState(False))

    def make(
        self,
        root: Path,
        path: str,
        *,
        owner: Owner,
        mode: int,
        skeleton: Path | None,
        mounted: bool = False,
    ) -> None:
        """Remember a new directory; an existing one is a Conflict."""
        if root / path in self.directories:
            raise Conflict(f"{root / path} was made meanwhile")
        self.directories[root / path] = DirectoryState(True, *owner, mode)

    def set_owner(self, root: Path, path: str, *, owner: Owner) -> None:
        """Remember another owner."""
        self._change(root / path, **owner._asdict())

    def set_mode(self, root: Path, path: str, *, mode: int) -> None:
        """Remember another mode."""
        self._change(root / path, mode=mode)

    def set_acl(self, root: Path, path: str, *, acl: str) -> None:
        """Remember another ACL."""
        self._change(root / path, acl=acl)

    def children(self, root: Path, *, mounted: bool = False) -> Sequence[str]:
        """Return the remembered directories directly below the root."""
        return sorted(path.name for path in self.directories if path.parent == root)

    def _change(self, path: Path, **values: Any) -> None:
        if path not in self.directories:
            raise Permanent(f"{path}: No such file or directory")
        self.directories[path] = replace(self.directories[path], **values)


def site(
    instance: str = "test",
    *,
    service: str = "testing",
    run: Run = process.run,
    host: Host | None = None,
    templates: Path | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Site:
    """Return what a handler gets when it is built.

    host: default a `FakeHost`; `system.directories.RealHost()` is this machine. templates:
    directory to look up template names in; secrets: their values by name.
    """

    def template(name: str) -> Path:
        if templates is None or not (templates / name).exists():
            raise ConfigError(f"there is no template {name!r}", advice=f"searched: {templates}")
        return templates / name

    def secret(name: str) -> str:
        if name not in (secrets or {}):
            raise ConfigError(f"there is no secret {name!r}")
        return (secrets or {})[name]

    return Site(
        instance=instance,
        service=service,
        run=run,
        host=host or FakeHost(),
        render=expressions.render_text,
        template=template,
        secret=secret,
    )


# What the engine keeps between two runs.


@dataclass
class Ledger:
    """Claims of one claimant, and what was saved of objects; all of it has passed through JSON."""

    claims: dict[Key, tuple[Claim, ...]] = field(default_factory=dict)
    priors: dict[Key, State] = field(default_factory=dict)
    applied: dict[Key, Applied] = field(default_factory=dict)
    adoption: Adoption | None = None

    def claim(self, handler: Handler, *params: Params) -> Ledger:
        """Claim what parameters name, in place of earlier claims on the same objects."""
        for some in params:
            for key, want in handler.claims(some).items():
                self.claims[key] = (Claim("user:jdoe", stored(want)),)
        return self

    def suspend(self, suspended: bool = True) -> None:
        """Suspend all claims, or lift the suspension."""
        self.claims = {
            key: tuple(replace(claim, suspended=suspended) for claim in claims)
            for key, claims in self.claims.items()
        }

    def withdraw(self) -> None:
        """Withdraw all claims."""
        self.claims = dict.fromkeys(self.claims, ())

    @property
    def items(self) -> list[Item]:
        """Return what is due: everything."""
        return [
            Item(
                key,
                claims,
                self.priors.get(key),
                adoption=self.adoption,
                applied=self.applied.get(key, {}),
            )
            for key, claims in self.claims.items()
        ]

    def run(self, handler: Handler) -> dict[Key, Outcome]:
        """Converge everything; saved values are dropped once an open object has converged."""
        outcomes = {one.item.key: one for one in converge(handler, self.items, self._save)}
        for key, outcome in outcomes.items():
            if outcome.fault is None and outcome.item.open:
                self.priors.pop(key, None)
            if outcome.applied is not None:
                self.applied[key] = stored(outcome.applied)
        return outcomes

    def _save(self, former: Former) -> None:
        self.priors |= stored(former.priors)
        self.applied |= stored(former.applied)


class Interrupted(BaseException):
    """The service was killed: nothing catches this."""


class _Watched:
    """A handler that calls a function before every `apply`."""

    def __init__(self, handler: Handler, before: Callable[[Sequence[Change]], None]) -> None:
        self._handler = handler
        self._before = before

    def apply(self, changes: Sequence[Change]) -> None:
        self._before(changes)
        self._handler.apply(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


def watched(handler: Handler, before: Callable[[Sequence[Change]], None]) -> Handler:
    """Return a handler that calls `before` before each write; if `before` raises, nothing is
    written."""
    return cast(Handler, _watched_class(type(handler))(handler, before))


@cache
def _watched_class(kind: type) -> type[_Watched]:
    """Return a class for watched handlers of a kind: `able` keeps an answer for each class."""
    return type(f"Watched{kind.__name__}", (_Watched,), {})


def stored(value: Any) -> Any:
    """Return a value as the ledger would give it back: JSON, and nothing else."""
    return json.loads(json.dumps(value))
