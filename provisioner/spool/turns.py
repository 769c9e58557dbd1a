"""Turns: what waits in staging, in one queue for each owner of files.

Promises: pure. An owner with few files waits for at most one file of each other owner, however many
those have. Names that are taken together are in the order of their arrival. Leaves out: finding the
names and their owners (`scan`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar


class Owned(Protocol):
    """Whatever has an owner."""

    @property
    def uid(self) -> int:
        """The owner's."""
        ...


Of = TypeVar("Of", bound=Owned)


def first_of_each(files: Iterable[Of], served: Collection[int]) -> tuple[list[Of], list[Of]]:
    """Return the first file of each owner who was not served, and all others."""
    seen = set(served)
    first: list[Of] = []
    rest: list[Of] = []
    for file in files:
        (rest if file.uid in seen else first).append(file)
        seen.add(file.uid)
    return first, rest


class Turns:
    """Names that wait, and whose turn it is."""

    def __init__(self) -> None:
        self._queues: OrderedDict[int, deque[tuple[int, str]]] = OrderedDict()
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, arrivals: Iterable[tuple[int, int, str]]) -> None:
        """Put names behind their owners' others: (owner's uid, time of arrival, name), in order.

        The time of arrival is any number that grows.
        """
        for owner, came, name in arrivals:
            queue = self._queues.get(owner)
            if queue is None:
                queue = self._queues[owner] = deque()
            queue.append((came, name))
            self._names.add(name)

    def take(self, limit: int) -> list[str]:
        """Take one name of each owner in turn, at most `limit`, and return them by arrival.

        The next call begins with the owner whose turn would have been next.
        """
        taken: list[tuple[int, str]] = []
        while self._queues and len(taken) < limit:
            owner, queue = next(iter(self._queues.items()))
            taken.append(queue.popleft())
            if queue:
                self._queues.move_to_end(owner)
            else:
                del self._queues[owner]
        self._names.difference_update(name for _, name in taken)
        return [name for _, name in sorted(taken)]

    def clear(self) -> None:
        """Forget all names."""
        self._queues.clear()
        self._names.clear()
