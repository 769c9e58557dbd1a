"""What claims have set of an object, and what was there before. Pure.

Promises: what is noted before a write holds whether the write came about or not, so that a kill
between the two loses nothing; what was so before anybody asked for it stays so when nobody asks
any more. Leaves out: keeping it (`object_rows`), and giving it back, which is the handler's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioner.contract import Json

Applied = Mapping[str, Mapping[str, Json]]
"""By the setting's name: `set`, the values that are ours, and `before`, the one that was there.

There are several while it is not known which of them was written last. A `before` of None is the
backend's own "not set"; it stands for what is not known, too. Of an object that nobody claims,
`kept` is the value when the last claim went.
"""


def left(applied: Applied | None, sets: Mapping[str, Json], disputed: Collection[str]) -> Applied:
    """Choose what had been set and is wanted no more.

    sets: what is wanted; disputed: what stays as it is, as claims contradict each other.
    """
    kept = {*sets, *disputed}
    return {name: one for name, one in (applied or {}).items() if name not in kept}


def noted(
    applied: Applied | None, sets: Mapping[str, Json], now: Mapping[str, Json], *, taken: bool
) -> Applied:
    """Add what is going to be set.

    applied: None for an object that was ours before anything was noted of it; now: the settings
    before the write; taken: the object was adopted, so that what is as wanted is ours.
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
    """Say what is set of an object that is as wanted; what was given back is ours no more."""
    stays = {name: one for name, one in applied.items() if name in disputed}
    return stays | {name: {**applied[name], "set": [value]} for name, value in sets.items()}


def unclaimed(applied: Applied, now: Mapping[str, Json]) -> Applied:
    """Keep what was before of an object that nobody claims any more, and that is still there.

    now: the settings as they stay. Whoever sets one of them before the next claim comes has set
    what that claim finds.
    """
    return {name: {"kept": now.get(name), **one} for name, one in applied.items()}


def forgotten(applied: Applied) -> Applied:
    """Forget what was before: what is as wanted was taken over, and is ours."""
    return {name: {**one, "before": None} for name, one in applied.items()}


def _changed_since(one: Mapping[str, Json], now: Json) -> bool:
    """Return True if somebody set a setting while nobody claimed its object."""
    return "kept" in one and one["kept"] != now


def _values(one: Mapping[str, Json]) -> list[Json]:
    values = one["set"]
    return list(values) if isinstance(values, list | tuple) else [values]
