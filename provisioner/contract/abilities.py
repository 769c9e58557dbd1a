"""Optional abilities of a handler, beside its contract.

Promises: each protocol is independent, and a handler needs none of them; the engine asks by `able`.
Leaves out: what every handler must do (`contract`), and how the engine drives one (`converge`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

from provisioner.contract.handler import (
    Bearers,
    Change,
    Claimed,
    Fault,
    Gone,
    Home,
    Json,
    Key,
    Meter,
    Scalar,
    State,
    Uses,
    Want,
)

Ability = TypeVar("Ability")


def able(handler: object, ability: type[Ability]) -> TypeGuard[Ability]:
    """Return True if a handler has an ability, one of the protocols below.

    What `__getattr__` passes on counts, as of a handler around another one: `isinstance` with a
    protocol overlooks it from Python 3.12 on. The answer is kept for each class: asking takes
    longer than the engine takes for an object.
    """
    key = (type(handler), ability)
    if key not in _KNOWN:
        methods = [name for name in vars(ability) if not name.startswith("_")]
        _KNOWN[key] = all(callable(getattr(handler, name, None)) for name in methods)
    return _KNOWN[key]


_KNOWN: dict[tuple[type, type], bool] = {}


@runtime_checkable
class Foresees(Protocol):
    """A handler that can check beforehand whether a backend will accept planned changes.

    A change may depend on something beside its own object (a QOS that must exist, a number that
    another may have). The handler looks it up only for such a change, so that all others cost no
    call. `plan` and the service both ask, before the first write.
    """

    def foresee(self, changes: Sequence[Change]) -> Mapping[Key, Fault]:
        """Return a fault for each planned change that will be refused; reads only.

        changes: those of a batch, as `plan` returned them. Raises Unavailable if the backend is
        away.
        """
        ...


@runtime_checkable
class Keeps(Protocol):
    """A handler that must know what an object was when it was last as wanted.

    The ledger keeps what `identity` returns while somebody claims the object, and gives it back as
    the want's `was`. So an object that somebody deleted, or gave another number by hand, is
    distinct from a new one.
    """

    def identity(self, want: Want, state: State) -> Mapping[str, Scalar]:
        """Return what to keep of an object that is as wanted; if empty, what was kept stays.
        Pure."""
        ...


@runtime_checkable
class Seeks(Protocol):
    """A handler of objects that an admin can rename in the backend.

    Whoever had access by such an object has it still, under a name that nobody asks for. So an
    object of which the ledger knows what it was is looked for if it is gone, or if it is to be
    closed and another one has its name by now.
    """

    def ask(self, claimed: Claimed) -> None:
        """Keep the question to the ledger; the engine calls this once, before all else."""
        ...

    def sought(self, gone: Mapping[Key, Gone]) -> Mapping[Key, State | Fault]:
        """Return the states of those objects that are there under other names; reads only.

        gone: those that are not there, and all that are to be closed. Left out are those that have
        their names, those that are not there, and those that somebody claims by their new names.
        Each state has the new name as `renamed`. Raises Unavailable if the backend is away.
        """
        ...


@runtime_checkable
class Numbered(Protocol):
    """A handler whose objects have numbers on which files depend, such as a uid.

    The ledger keeps each number that an object had when it was done, also after nobody claims the
    object and after the backend lost it.
    """

    def numbers(self, key: Key, state: State) -> Mapping[str, int]:
        """Return the numbers of an existing object, by kind of number (`uid`). Pure."""
        ...


@runtime_checkable
class Allots(Protocol):
    """A handler that gives numbers to the objects that it makes, or serves whoever has one.

    A backend can forget a number: it was restored from an older copy. The files that have the
    number are still there. So before the handler gives or writes a number, it asks the ledger whose
    that is, too.
    """

    def heed(self, bearers: Bearers) -> None:
        """Keep the question to the ledger; the engine calls this once, before all else."""
        ...

    def allotted(self) -> Mapping[str, range]:
        """Return the numbers that the handler gives out, by kind; empty if it gives none. Pure."""
        ...


@runtime_checkable
class Restores(Protocol):
    """A handler that restores settings that claims had set and now leave out.

    The ledger keeps each setting of an object that a want named, with its earlier value. A setting
    that no want names any more comes back in the want's `left` (`applied.Applied`), while the
    object is open. `plan` restores a setting that still has our value, and leaves alone what
    somebody else has set since.
    """

    def sets(self, key: Key, want: Want) -> Mapping[str, Json]:
        """Return the settings that a want names, each with its value. Pure.

        Left out is a setting that always has a value, such as from the handler's own settings.
        """
        ...

    def holds(self, key: Key, state: State) -> Mapping[str, Json]:
        """Return an object's settings, under the names of `sets`; None: not set. Pure."""
        ...


@runtime_checkable
class Reopens(Protocol):
    """A handler that can open an object as it was, whatever its claims want.

    It is asked about an object that existed before, was adopted and differs from its claims, when a
    suspension that closed it ends. Such an object of any other handler stays closed, and the resume
    says so.
    """

    def as_before(self, key: Key, want: Want, state: State, prior: State) -> Want:
        """Return the want that opens an existing object and changes nothing else. Pure.

        want: what `merge` returned, which names the object; state: as it is, closed; prior: what
        `prior` saved of it.
        """
        ...


@runtime_checkable
class Adapts(Protocol):
    """A handler that holds some texts in another form than they were written in.

    `check`, `plan` and the result report it: the handler refuses nothing that a backend could hold
    in another form.
    """

    def adapted(self, params: Mapping[str, object]) -> Mapping[str, str]:
        """Return for parameters, by name, what becomes of them (`shortened to 64 characters`).
        Pure."""
        ...


@runtime_checkable
class Remarks(Protocol):
    """A handler that reports things about an object that no change of it reports.

    `plan` shows them, and so does the result of a request that is done.
    """

    def remarks(self, key: Key, want: Want, state: State) -> Sequence[str]:
        """Return what stays different from what people may expect of the want. Pure."""
        ...


@runtime_checkable
class Describes(Protocol):
    """A handler that says what people ask about its objects, as people write it.

    `status` shows these facts in place of the state: `quota: 3 TiB of 5 TiB`, `mode: 2770`.
    """

    def described(self, key: Key, state: State) -> Mapping[str, str]:
        """Return facts by name; the card of an allocation shows `quota`, `files`, `grace` and
        `path`. Pure."""
        ...


@runtime_checkable
class Removes(Protocol):
    """A handler that knows how an admin removes its objects for good. The service never does.

    `removal` shows the commands to somebody who was asked to delete a person's data.
    """

    def removal(self, key: Key, state: State) -> Sequence[Sequence[str]]:
        """Return the commands that remove an object that exists, as argument lists, in their
        order; none if nothing of it is left once the others are gone. Pure."""
        ...


@runtime_checkable
class Encloses(Protocol):
    """A handler of objects that take others with them when they are removed for good."""

    def enclosed(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Key]]:
        """Return what would go with each object, at any depth, whosever it is; read from the
        backend. Raises a Fault if it cannot be read."""
        ...


@runtime_checkable
class Meters(Protocol):
    """A handler of objects with quotas. `provisioner quota` shows them, and people are warned."""

    def metered(self, keys: Collection[Key]) -> Mapping[Key, Sequence[Meter]]:
        """Return the use of objects, read from the backend in one call; those without are left out.

        Raises a Fault if it cannot be read.
        """
        ...


@runtime_checkable
class Measures(Protocol):
    """A handler whose states say what is used. The receipt of a request that is done shows it."""

    def used(self, state: State) -> Mapping[str, int]:
        """Return what was used when a state was read, by what is counted (`Meter`); empty if the
        state does not say. Pure."""
        ...


@runtime_checkable
class MetersUsers(Protocol):
    """A handler of a file system that has quotas of users."""

    def metered_users(self, fileset: str) -> Mapping[int, Sequence[Meter]]:
        """Return the use of all users, by uid, read in one call.

        fileset: where a file system counts users in each fileset apart; '' for all of it. Raises a
        Fault if it cannot be read.
        """
        ...


@runtime_checkable
class Counted(Protocol):
    """A handler of directories whose use is counted by their owner, such as homes."""

    def counted_by(self) -> str:
        """Return who counts: the instance of a handler that can (`MetersUsers`), or INSTANCE and
        fileset (`fs1:home`); '' for nobody. Pure."""
        ...

    def owner(self, key: Key, state: State) -> int | None:
        """Return the uid whose use counts for an object; None for nobody's, as while it is closed.
        Pure."""
        ...


@runtime_checkable
class Witnesses(Protocol):
    """A handler whose backend knows when people last used it; people who do not are closed."""

    def last_used(self, since: float, now: float) -> Uses:
        """Return when people last used the backend, read in calls that do not grow with them.

        since, now: seconds since the epoch. Who is not named did not use it since then. So it
        raises a Fault if the answer is not whole, or does not go back so far.
        """
        ...


@runtime_checkable
class Lodges(Protocol):
    """A handler that says where people have their homes: it names the path in an account, or makes
    the directory there.

    A route whose steps disagree is refused before anything is written (`homes`).
    """

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Return a person's home by a step's parameters; None: they do not say. Pure."""
        ...


@runtime_checkable
class Stores(Protocol):
    """A handler with objects that hold people's data.

    A request that would leave such an object for one with another name is held.
    """

    def stores(self, key: Key) -> bool:
        """Return True if an object of this kind holds data. Pure."""
        ...


@runtime_checkable
class OneByOne(Protocol):
    """A handler that writes each object by a call of its own, as its backend has no list calls.

    Whatever needs its first objects would wait until it has written all of a large batch. So its
    lane takes them in portions, and hands each on once it is read back.
    """

    def at_once(self) -> int:
        """Return the most objects that its lane takes at once, from 1. Pure."""
        ...


@runtime_checkable
class Replans(Protocol):
    """A handler whose plans may change while the service runs, as a program of the site makes them.

    Of any other handler, an object is not planned again that has the wants and the state of the
    last look, if that left nothing to do.
    """

    def replans(self) -> str:
        """Return what makes the plans, in words. Pure."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A handler that has something to do before it can work, such as to start a program.

    It is told when a request was accepted that needs it after other steps: nobody waits for what it
    does meanwhile.
    """

    def prepare(self, keys: Collection[Key]) -> None:
        """Get ready to make some objects soon; reads only. Returns at once, and never raises; may
        be called by any thread, and for nothing."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A handler that may look before its step begins: what that needs was just read back as wanted,
    and is being recorded."""

    def look_ahead(self, keys: Collection[Key]) -> None:
        """Begin to look at some objects; reads only. Returns at once, and never raises; may be
        called by any thread, and for nothing."""
        ...


@runtime_checkable
class Shuts(Protocol):
    """A handler whose objects can shut people out while they are open, such as by a limit of 0.

    Policy counts the people whom a request shuts out so with those whose claims go (`policy.mass`).
    """

    def shuts(self, key: Key, before: Want, after: Want) -> bool:
        """Return True if people can do less with an object by one want than by another. Pure.

        Less is what a person would report as lost: a login, a partition, all jobs. A smaller
        amount of something is not less.

        before, after: what `merge` returns, with no prior, for the current claims and for the new
        ones. Some claims of each are not suspended. A value from a later step is None in `after`.
        """
        ...
