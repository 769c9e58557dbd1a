"""What claims had set of an object and leave out now: what of it goes back, and to what. Pure.

Promises: what still is as we had set it goes back to what it was before, or to none; what somebody
else has set since stays. Leaves out: how a setting is written, and when two values are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from provisioner.contract.handler import Json, Want


def given_back(want: Want, is_so: Callable[[str, Json], bool]) -> dict[str, Json]:
    """Name the settings that go back, each with what it was before; None: not set.

    is_so: says of a setting's name and a value whether the object has it so.
    """
    left = cast(Mapping[str, Mapping[str, Any]], want.get("left") or {})
    return {
        name: one["before"]
        for name, one in left.items()
        if any(is_so(name, value) for value in one["set"]) and not is_so(name, one["before"])
    }
