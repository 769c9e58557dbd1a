"""Settings that claims had set on an object and now leave out: which return, and to what. Pure.

Promises: a setting that still has our value returns to its earlier value, or to none; what somebody
else has set since stays. Leaves out: how a setting is written, and when two values are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from provisioner.contract.handler import Json, Want


def given_back(want: Want, is_so: Callable[[str, Json], bool]) -> dict[str, Json]:
    """Return the settings to restore, each with its earlier value; None: not set.

    is_so: returns True if the object has a setting, by name, with a value.
    """
    left = cast(Mapping[str, Mapping[str, Any]], want.get("left") or {})
    return {
        name: one["before"]
        for name, one in left.items()
        if any(is_so(name, value) for value in one["set"]) and not is_so(name, one["before"])
    }
