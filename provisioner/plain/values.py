"""Values: frozen dataclasses that are made as quickly as open ones.

Promises: `value` is `dataclass` to a type checker, which holds that nobody changes a frozen one.
Leaves out: holding it while the program runs. The library's way is a call for each field of each
value, which takes ten times as long, and a twentieth of all that a request costs. So this is for
what is made for each request or object; a handler's own values are the library's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen, slots, kw_only=False):
        """Return a decorator, as `dataclass` does; its classes have a hash if they are frozen."""
        return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)
