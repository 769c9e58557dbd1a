"""Stand-ins for tests of handlers: a site, a host, a ledger, and a service that is killed.

Promises: nothing here touches the machine but by the programs that a handler runs.
Leaves out: backends, and what must hold of a handler (`testing`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from provisioner.routing import expressions
from provisioner.system import process

Params = Mapping[str, object]

HOSTILE = (
    *("../x", "..", "x/y", "-x", "a b", "a\n", "\n", "a\x00", "a,b", "a=b", "a:b", "*", "a)(cn=*"),
    *("$(id)", "a;id", "a|b", "`id`", "a'b", 'a"b', "{{ x }}", "jürgen", "\u202eab", "x" * 300),
)
"""Names that no handler lets through to a backend."""


class FakeHost:
    """A host whose directories are only remembered, and where all is mounted.

    directories: what there is, by path.
    """

    def __init__(self) -> None:
        self.directories: dict[Path, DirectoryState] = {}

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        """Say what is at a path."""
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
        """Remember a new directory; one that is there is a Conflict."""
        if root / path in self.directories:
            raise Conflict(f"{root / path} came to be meanwhile")
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
        """List what is remembered right below the root."""
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
    """Make what a handler is given when it is built.

    host: a `FakeHost` where none is given; `system.directories.RealHost()` is this machine.
    templates: directory that template names are looked up in; secrets: their values by name.
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
    """Claims of one claimant, and what was saved of objects; all of it has been JSON."""

    claims: dict[Key, tuple[Claim, ...]] = field(default_factory=dict)
    priors: dict[Key, State] = field(default_factory=dict)
    applied: dict[Key, Applied] = field(default_factory=dict)

    def claim(self, handler: Handler, *params: Params) -> Ledger:
        """Claim what parameters speak of, in place of what was claimed of it before."""
        for some in params:
            for key, want in handler.claims(some).items():
                self.claims[key] = (Claim("user:jdoe", stored(want)),)
        return self

    def suspend(self, suspended: bool = True) -> None:
        """Suspend all claims, or lift that."""
        self.claims = {
            key: tuple(replace(claim, suspended=suspended) for claim in claims)
            for key, claims in self.claims.items()
        }

    def withdraw(self) -> None:
        """Take all claims back."""
        self.claims = dict.fromkeys(self.claims, ())

    @property
    def items(self) -> list[Item]:
        """Return what is due: everything."""
        return [
            Item(key, claims, self.priors.get(key), applied=self.applied.get(key, {}))
            for key, claims in self.claims.items()
        ]

    def run(self, handler: Handler) -> dict[Key, Outcome]:
        """Converge everything; what was saved is dropped once an open object has converged."""
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
    """A handler, before whose every `apply` something is called."""

    def __init__(self, handler: Handler, before: Callable[[Sequence[Change]], None]) -> None:
        self._handler = handler
        self._before = before

    def apply(self, changes: Sequence[Change]) -> None:
        self._before(changes)
        self._handler.apply(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


def watched(handler: Handler, before: Callable[[Sequence[Change]], None]) -> Handler:
    """Call something before each of a handler's writes; what it raises takes the write's place."""
    return cast(Handler, _Watched(handler, before))


def stored(value: Any) -> Any:
    """Give back what the ledger would: JSON, and nothing else."""
    return json.loads(json.dumps(value))
