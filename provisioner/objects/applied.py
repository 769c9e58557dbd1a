"""The settings that claims have made on an object, and their values before. Pure.

Promises: what is recorded before a write is true whether the write happened or not, so that a kill
in between loses nothing. A setting that was so before anybody asked for it stays so when nobody
asks any more. Leaves out: storing it (`object_rows`), and restoring it, which is the handler's
task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioner.contract import Json

Applied = Mapping[str, Mapping[str, Json]]
"""By the setting's name: `set`, the values that are ours, and `before`, the earlier value.

`set` has several values while it is unknown which of them was written last. A `before` of None is
the backend's own "not set", or an unknown value. For an object that nobody claims, `kept` is the
value when the last claim went.
"""


def left(applied: Applied | None, sets: Mapping[str, Json], disputed: Collection[str]) -> Applied:
    """Return what was set and is no longer wanted.

    sets: what is wanted; disputed: what stays unchanged because claims contradict each other.
    """
    kept = {*sets, *disputed}
    return {name: setting for name, setting in (applied or {}).items() if name not in kept}


def noted(
    applied: Applied | None, sets: Mapping[str, Json], now: Mapping[str, Json], *, taken: bool
) -> Applied:
    """Add the settings that are about to be written.

    applied: None for an object that was ours before anything was recorded of it; now: the settings
    before the write; taken: the object was adopted, so that settings that are as wanted are ours.
    """
    noted = dict(applied or {})
    for name, value in sets.items():
        known = noted.get(name)
        if known is not None and not _changed_since(known, now.get(name)):
            values = _values(known)
            both = values if value in values else [*values, value]
            noted[name] = {"set": both, "before": known["before"]}
            continue
        before = None if applied is None else now.get(name)
        noted[name] = {"set": [value], "before": None if taken and before == value else before}
    return noted


def settled(applied: Applied, sets: Mapping[str, Json], disputed: Collection[str]) -> Applied:
    """Return what is set on an object that is as wanted, without what was given back."""
    stays = {name: setting for name, setting in applied.items() if name in disputed}
    return stays | {name: {**applied[name], "set": [value]} for name, value in sets.items()}


def unclaimed(applied: Applied, now: Mapping[str, Json]) -> Applied:
    """Keep the earlier values of an object that still exists after its last claim went.

    now: the settings that stay. If somebody changes one before the next claim, that claim finds the
    new value as the earlier one.
    """
    return {name: {"kept": now.get(name), **setting} for name, setting in applied.items()}


def forgotten(applied: Applied) -> Applied:
    """Drop the earlier values: settings that are as wanted were taken over, and are ours."""
    return {name: {**setting, "before": None} for name, setting in applied.items()}


def _changed_since(setting: Mapping[str, Json], now: Json) -> bool:
    """Return True if somebody set a setting while nobody claimed its object."""
    return "kept" in setting and setting["kept"] != now


def _values(setting: Mapping[str, Json]) -> list[Json]:
    values = setting["set"]
    return list(values) if isinstance(values, list | tuple) else [values]
