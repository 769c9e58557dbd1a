"""What a handler may be able to do beside its contract.

Promises: each protocol stands by itself, and a handler needs none of them; the engine asks
by `able`. Leaves out: what every handler has to do (`contract`), and how the engine drives one
(`converge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

from provisioner.contract.handler import Change, Fault, Home, Json, Key, Scalar, State, Want

Ability = TypeVar("Ability")


def able(handler: object, ability: type[Ability]) -> TypeGuard[Ability]:
    """Return True if a handler has an ability, one of the protocols below.

    The answer is kept for each class: Python 3.11 takes longer over `isinstance` with a protocol
    than the engine takes for an object.
    """
    key = (type(handler), ability)
    if key not in _KNOWN:
        _KNOWN[key] = isinstance(handler, ability)
    return _KNOWN[key]


_KNOWN: dict[tuple[type, type], bool] = {}


@runtime_checkable
class Foresees(Protocol):
    """A handler that can ask beforehand whether planned changes will be taken.

    What a change leans on beside its own object (a QOS that has to exist, a number that another may
    bear) is looked up only where a change does, so that all others cost no question; `plan` and the
    real thing both ask, before the first write.
    """

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Say of planned changes which will be refused, and why; reads only.

        changes: those of a batch, as `plan` listed them. Raises Unavailable when the backend is
        away.
        """
        ...


@runtime_checkable
class Keeps(Protocol):
    """A handler that has to know what an object was when it was last as wanted.

    What `identity` says is kept in the ledger as long as somebody claims the object, and comes back
    as the want's `was`; so one that was deleted behind the back, or given another number by hand,
    is told from one that never was.
    """

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Name what to keep of an object that is as wanted; empty: what was kept stays. Pure."""
        ...


@runtime_checkable
class Restores(Protocol):
    """A handler that gives back what claims had set of an object and leave out now.

    The ledger keeps each setting of an object that a want named, with what it was before. What no
    want names any more comes back as the want's `left` (`applied.Applied`), while the object is
    open; `plan` gives back what still is as we had set it, and leaves alone what somebody else has
    set since.
    """

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Name the settings that a want speaks of, each with its value. Pure.

        Left out is what has a value in any case, such as by the handler's own settings.
        """
        ...

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Say what an object's settings are, in the words of `sets`; None: not set. Pure."""
        ...


@runtime_checkable
class Adapts(Protocol):
    """A handler that holds some of what it is given otherwise than it was written.

    What it says is told by `check` and `plan` and in the result: nothing is refused that a backend
    could hold in other words.
    """

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Say of parameters, by name, what becomes of them (`shortened to 64 characters`). Pure."""
        ...


@runtime_checkable
class Remarks(Protocol):
    """A handler that has something to say of an object that no change of it says.

    `plan` tells it, and so does the result of a request that is done.
    """

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Say what stays otherwise than one could expect by what is wanted. Pure."""
        ...


@runtime_checkable
class Lodges(Protocol):
    """A handler that says where people have their homes: it names the path in an account, or makes
    the directory there.

    A route whose steps say different ones is refused before anything is written (`homes`).
    """

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Say where a person's home is by a step's parameters; None: that is not said. Pure."""
        ...


@runtime_checkable
class Stores(Protocol):
    """A handler in some of whose objects people's data lie.

    A request that would leave such an object for one of another name is held.
    """

    def stores(self, key: Key) -> bool:
        """Return True if data lie in an object of this kind. Pure."""
        ...


@runtime_checkable
class Shuts(Protocol):
    """A handler whose objects can shut people out while they are open, such as by a limit of 0.

    Policy counts whom a request shuts out in this way with those whose claims go (`policy.mass`).
    """

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True if people can do less with an object by one want than by another. Pure.

        Less is what a person would report as lost: a login, a partition, all jobs. A smaller
        amount of something is not less.

        before, after: what `merge` makes, with no prior, of the claims that are, and of those that
        would be. Some claims of each are not suspended. What a later step tells is None in `after`.
        """
        ...
