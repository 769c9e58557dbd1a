"""What several claims on one object come to, in words. Pure.

Promises: what no rule settles is told with who wants what, and so is what a rule settled. Leaves
out: merging, which is the handler's (`contract.Handler.merge`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from provisioner.contract import Json, Want


def disputed(want: Want, names: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Say what stays as it is, as claims contradict each other, setting by setting.

    names: what each claimant is called; None: by its own name.
    """
    found = cast(Mapping[str, Mapping[str, str]], want.get("disputed") or {})
    return tuple(
        f"{name} stays as it is, as claims contradict each other: {in_words(said, names)}"
        for name, said in found.items()
    )


def told(want: Want) -> tuple[str, ...]:
    """Say what claims that differ come to, and what of it stays as it is.

    Of a want's `shared` each setting has what counts by which rule, and what each claimant wants.
    """
    shared = cast(Mapping[str, Mapping[str, Json]], want.get("shared") or {})
    settled = (
        f"{one['counts']} ({one['rule']}): {in_words(cast(Mapping[str, str], one['claims']))}"
        for one in shared.values()
    )
    return (*settled, *disputed(want))


def in_words(said: Mapping[str, str], names: Mapping[str, str] | None = None) -> str:
    """Write who wants what: `allocation:9 wants MaxJobs=5, allocation:10 wants MaxJobs=7`."""
    called = names or {}
    words = (f"{called.get(who, who)} wants {what}" for who, what in said.items())
    return ", ".join(dict.fromkeys(words))
