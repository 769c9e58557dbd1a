"""The result of several claims on one object, in words. Pure.

Promises: each text names who wants what, both where a rule decided and where none did. Leaves out:
merging, which is the handler's task (`contract.Handler.merge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from provisioner.contract import Json, Want

_Disputed: TypeAlias = Mapping[str, Mapping[str, str]]
_Shared: TypeAlias = Mapping[str, Mapping[str, Json]]
_Wants: TypeAlias = Mapping[str, str]


def disputed(want: Want, names: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the settings that stay unchanged because claims contradict each other, as texts.

    names: how each claimant is called; None: by its own name.
    """
    settings = cast(_Disputed, want.get("disputed") or {})
    return tuple(
        f"{name} stays unchanged, because claims contradict each other: {in_words(wants, names)}"
        for name, wants in settings.items()
    )


def summary(want: Want) -> tuple[str, ...]:
    """Return the results of claims that differ, and the settings that stay unchanged, as texts.

    Each setting in a want's `shared` has what counts, by which rule, and what each claimant wants.
    """
    shared = cast(_Shared, want.get("shared") or {})
    settled = (
        f"{one['counts']} ({one['rule']}): {in_words(cast(_Wants, one['claims']))}"
        for one in shared.values()
    )
    return (*settled, *disputed(want))


NAMED = 20
"""The most wishes that a text names: very many requests can want something of one object."""


def in_words(wants: Mapping[str, str], names: Mapping[str, str] | None = None) -> str:
    """Return who wants what: `allocation:9 wants MaxJobs=5, allocation:10 wants MaxJobs=7`."""
    called = names or {}
    words = (f"{called.get(name, name)} wants {what}" for name, what in wants.items())
    unique = list(dict.fromkeys(words))
    more = f" and {len(unique) - NAMED} more" if len(unique) > NAMED else ""
    return ", ".join(unique[:NAMED]) + more
