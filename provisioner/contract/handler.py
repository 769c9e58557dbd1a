"""The protocol of a handler, its values and its faults.

Promises: everything a handler needs from the engine is here or in the `Site` it is built with.
Leaves out: how the engine drives a handler (`converge`), and what any backend looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Protocol, TypeAlias

from provisioner.contract import faults, texts, validation

ConfigError = faults.ConfigError
Conflict = faults.Conflict
Fault = faults.Fault
InvalidRequest = faults.InvalidRequest
NotReady = faults.NotReady
Permanent = faults.Permanent
Refused = faults.Refused
Transient = faults.Transient
Unavailable = faults.Unavailable
Unknown = faults.Unknown

Wrong = validation.Wrong
wrongs = validation.wrongs
"""Pydantic's errors as text for people, for a handler that reads its parameters by a model."""

parse_size = texts.parse_size
format_size = texts.format_size
"""Sizes as requests and the configuration write them, for a handler's parameters."""

Adapted = texts.Adapted
line = texts.line
"""Return one line of a text that a person typed, as the format does."""

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "Scalar | Sequence[Json] | Mapping[str, Json]"

Key = str
"""`INSTANCE/KIND/NAME[/NAME...]`, for example `slurm-a/assoc/cf3/jdoe`; made by `make_key`."""

Want = Mapping[str, Json]
"""What an object should be: plain JSON, so that the ledger keeps it and a command can read it.

A claim's want with a boolean `adopt` says whether the service may take over an object that it did
not make; the engine sets it if the ledger has already taken the object over. If claims contradict
each other, `merge` leaves the setting unchanged, and names it in `disputed`: setting -> claimant ->
what that one wants."""

State = Mapping[str, Json]
"""What was read of an object. Always has `present: bool`."""

_PART = re.compile(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]{0,254}\Z")


def make_key(*parts: str) -> Key:
    """Return a key made of instance, kind and names.

    Raises InvalidRequest if a part is empty, has a character outside `A-Za-z0-9_.@+-`, or begins
    with a dash.
    """
    for part in parts:
        if not _PART.match(part) or part in {".", ".."}:
            raise InvalidRequest(f"{part!r} cannot name an object", expected=_PART.pattern)
    return "/".join(parts)


def split_key(key: Key) -> tuple[str, ...]:
    """Return instance, kind and names of a key."""
    return tuple(key.split("/"))


# Claims and changes.


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claimant wants of one object.

    claimant: such as `allocation:42/user:jdoe`; suspended: a suspension of any part of the claimant
    is in force, so this claim asks for the object to be kept, closed; order: the id of its request,
    so that later requests sort later.
    """

    claimant: str
    want: Want
    suspended: bool = False
    source: str = ""
    order: str = ""


ADOPTS = "adopts"
"""The engine's own word in a want: its request says `adopt: true`. Handlers leave it alone."""

OWNING = frozenset({"adopt", "mark"})
"""Verbs of changes that only note who owns an object."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write that brings a state nearer to a want.

    verb: short and stable, for grouping and tests (`create`, `set-quota`); text: the whole change
    for a person (`quota 5 TiB -> 6 TiB`), never a secret, cut if nobody could read it; phase:
    order across objects, lowest first; group: changes of one phase and group may go in one `apply`;
    data: the handler's own.
    """

    key: Key
    verb: str
    text: str
    phase: int = 0
    group: str = ""
    data: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", faults.cut(self.text))


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `provisioner doctor`: what was checked, the result, how to fix it."""

    level: Level
    subject: str
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Uses:
    """When people last used a backend.

    last: seconds since the epoch by name, of all whom the backend saw; lag: seconds by which a use
    may be later than what is noted of it.
    """

    last: Mapping[str, float]
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Meter:
    """What is used of one limit.

    what: `space` in bytes, or `files`; soft, hard: 0 for no limit; grace: how long the soft limit
    may still be exceeded, as people write it, `expired` afterwards, '' if it is not exceeded; path:
    where it is; in_doubt: what the backend has handed out and counts against the hard limit,
    without knowing yet whether it is used.
    """

    what: str
    used: int
    soft: int
    hard: int
    grace: str = ""
    path: str = ""
    in_doubt: int = 0


@dataclass(frozen=True, slots=True)
class Home:
    """Where a person's home is. made: True if the directory is made there, else an account names
    it."""

    person: str
    path: str
    made: bool = False


# What the engine lends to a handler.


@dataclass(frozen=True, slots=True)
class Gone:
    """An object that is not there under its name, or that may be another one by now. state: as it
    was read; identity: what it was when it was last as wanted (`abilities.Keeps`)."""

    state: State
    identity: Mapping[str, Scalar]


Claimed: TypeAlias = Callable[[Collection[Key]], Collection[Key]]
"""Returns those of some objects that somebody claims.

It reads the ledger, and may be called from any thread; see `abilities.Seeks`."""


Bearers: TypeAlias = Callable[[str, int, int], Mapping[int, Sequence[Key]]]
"""Returns who has or had numbers: kind, first and last number -> number -> objects of the lane.

It reads the ledger, and may be called from any thread; see `abilities.Allots`."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended by itself, or was ended: `timed_out`."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    timed_out: bool = False


PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for, whatever the service was started with."""


class Run(Protocol):
    """Run a program; see `provisioner.system.process.run`."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed: ...


class Render(Protocol):
    """Render a Jinja2 text with values; see `provisioner.routing.expressions.render_text`."""

    def __call__(self, template: str, values: Mapping[str, object]) -> str: ...


class Owner(NamedTuple):
    """The owner of a directory, as numbers."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """A directory as the host sees it.

    mode: permission bits; acl: `getfacl`-like text or ''; above: why users who are not admins could
    replace the directory, '' if they cannot.
    """

    present: bool
    uid: int = 0
    gid: int = 0
    mode: int = 0
    acl: str = ""
    kind: str = "directory"
    above: str = ""


CLOSED_HOME = 0o1000
"""The mark of a closed home: the sticky bit, on a directory of root that is closed to others."""


def closed_home(mode: int) -> bool:
    """Return True if the permission bits of a directory of root are those of a closed home."""
    return mode & (CLOSED_HOME | 0o077) == CLOSED_HOME


class Host(Protocol):
    """What a host does to directories, as a few fixed verbs; see `system.directories`.

    Every verb works by directory file descriptors from `root` down and follows no link. `path` is
    relative to `root`. Each raises Permanent or Conflict that names the path and what to do;
    Unavailable if the root does not exist or, with `mounted`, is not a mount point.
    """

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState: ...
    def make(
        self,
        root: Path,
        path: str,
        *,
        owner: Owner,
        mode: int,
        skeleton: Path | None,
        mounted: bool = False,
    ) -> None: ...
    def set_owner(self, root: Path, path: str, *, owner: Owner) -> None: ...
    def set_mode(self, root: Path, path: str, *, mode: int) -> None: ...
    def set_acl(self, root: Path, path: str, *, acl: str) -> None: ...
    def children(self, root: Path, *, mounted: bool = False) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Site:
    """What a handler gets when it is built.

    instance: the handler's name in the configuration, first part of its keys; service: this
    provisioner's name, for marks; template: finds a file or directory below `templates/`; secret:
    reads a named secret (a file or a credential); sandboxed paths are the site's own.
    """

    instance: str
    service: str
    run: Run
    host: Host
    render: Render
    template: Callable[[str], Path]
    secret: Callable[[str], str]


# The handler.


class Handler(Protocol):
    """Code for the objects of one kind of backend.

    `claims`, `merge`, `prior`, `plan` and `outputs` are pure. `apply` gets changes of one phase and
    one group; it may raise a Fault. The engine does not trust its return, and observes again.
    """

    lane: str
    """Name of the backend's queue: all handlers that write to one backend have the same name."""

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the objects that the parameters name, and what they should be.

        params may hold KnownAfter values. Raises InvalidRequest that names the field.
        """
        ...

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want from all claims on an object.

        No claims: it should not exist, or should stay, closed. All suspended: kept, closed. prior:
        what `prior` saved before the object was closed, to restore when it opens. It is kept until
        an open object has been read back, so it may belong to another person who had the name.
        """
        ...

    def prior(self, key: Key, state: State) -> State | None:
        """Return what to save of an open object before it is closed; None: nothing.

        The engine calls this when no claim keeps the object open and nothing is saved yet, whether
        all claims are suspended or none is left.
        """
        ...

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        """Return the objects' states, read in one call if the backend can.

        Raises Unavailable if the backend is away. A Fault as a value concerns one object, and
        Unavailable as a value counts as NotReady: no other object waits for it.
        """
        ...

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        """Return the changes from state to want; none if the state is as wanted.

        Raises Conflict, NotReady or Permanent for what cannot be planned.
        """
        ...

    def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of one phase and group."""
        ...

    def inventory(self) -> Iterable[tuple[Key, State]]:
        """Yield all existing objects that a request could name, for unknowns and adoption.

        Leaves out objects of the system itself, and those that this handler can never write.
        """
        ...

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        """Return what later steps may use (`steps.NAME.output.uid`)."""
        ...

    def check(self) -> Sequence[Finding]:
        """Check backend, permissions and secrets for `provisioner doctor`; never raises."""
        ...


class Build(Protocol):
    """What an entry point of the group `provisioner.handlers` names."""

    def __call__(self, site: Site, settings: Mapping[str, object]) -> Handler:
        """Build a handler. Raises ConfigError that names the wrong setting."""
        ...


def not_supported(what: str) -> NoReturn:
    """Raise Permanent for a thing that this handler does not do."""
    raise Permanent(f"{what} is not supported", advice="change the request or the route")
