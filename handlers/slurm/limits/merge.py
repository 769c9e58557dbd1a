"""Several claims on one account or association: which limit they give, and what stays unchanged.

Promises: pure. Numbers compare as numbers; names that one claim sets in a list of QOS and another
adds become one list; a setting says by which rule each limit is merged. If no rule settles a limit,
no want has it: it stays unchanged, and the report says who wants what. Leaves out: texts of
accounts, locks.

ColdFront's own plugin (1.1.10, `plugins/slurm/associations.py`) writes the words of all allocations
of an account into one line, each once, in the order of a set: additions (`QOS+=`) are united, as
here, and of two values of one limit a random one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from handlers.slurm.limits import amounts, values
from handlers.slurm.limits.amounts import UNLIMITED
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.limits import Limits, key_of, shown_value
from handlers.slurm.limits.values import Value
from provisioner.contract import Claim, Json, by_age


class Rule(StrEnum):
    """How several values of one limit become one."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    SUM = "sum"
    NEWEST = "newest"
    CONFLICT = "conflict"


_NAMES: Final = {Kind.QOS: (Rule.LARGEST, Rule.NEWEST, Rule.CONFLICT),
                 Kind.NAME: (Rule.NEWEST, Rule.CONFLICT)}  # fmt: skip
"""Rules for keys that name something; numbers may have any rule."""

_LOWEST: Final = frozenset({"Priority", "MinPrioThresh"})
"""Keys whose clear value means less than any number; for other keys it means no limit."""

_UNUSUAL: Final = {"DefaultQOS": Rule.CONFLICT, "MinPrioThresh": Rule.SMALLEST}

DEFAULTS: Final[Mapping[str, Rule]] = {name: _UNUSUAL.get(name, Rule.LARGEST) for name in LIMITS}
"""The default rules allow the most: the largest number, all QOS; a default QOS conflicts."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of merging claims.

    disputed: by place, what each claimant wants of a place that stays unchanged; shared: of places
    for which they want several values, which value counts, by which rule, and what each wants.
    """

    limits: Limits
    disputed: Mapping[str, Mapping[str, str]]
    shared: Mapping[str, Mapping[str, Json]]


def check_rules(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return a site's rules, completed. Raises ValueError for an unknown limit, or a rule it cannot
    have."""
    for name, rule in rules.items():
        if name not in LIMITS:
            raise ValueError(f"{name} is not a limit; expected one of {', '.join(LIMITS)}")
        allowed = _NAMES.get(LIMITS[name].kind, tuple(Rule))
        if rule not in allowed:
            raise ValueError(f"{name} cannot be the {rule}; expected {', '.join(allowed)}")
    return {**DEFAULTS, **rules}


def merged(claims: Sequence[Claim], rules: Mapping[str, Rule]) -> Merged:
    """Return one mapping of limits from those of claims."""
    ordered = sorted(claims, key=by_age)
    wanted = {c.claimant: cast(Limits, c.want.get("limits") or {}) for c in ordered}
    limits: Limits = {}
    disputed: dict[str, Mapping[str, str]] = {}
    shared: dict[str, Mapping[str, Json]] = {}
    for place in sorted({place for own in wanted.values() for place in own}):
        key = key_of(place)
        if key == "QOS":
            continue
        value_of = {
            claimant: value
            for claimant, own in wanted.items()
            if (value := _of(own, place)) is not None
        }
        value = _one(place, list(value_of.values()), rules[key])
        words = {claimant: shown_value(place, one) for claimant, one in value_of.items()}
        if value is None:
            disputed[place] = words
            continue
        limits[place] = value
        if len(set(value_of.values())) > 1:
            shared[place] = _counts(shown_value(place, value), rules[key], words)
    spoken = {
        claimant: own for claimant, own in wanted.items() if any(key_of(p) == "QOS" for p in own)
    }
    qos = _qos(list(spoken.values()), rules["QOS"])
    words = {claimant: _in_words(own) for claimant, own in spoken.items()}
    if qos is None:
        disputed["QOS"] = words
    elif len(set(words.values())) > 1:
        shared["QOS"] = _counts(_in_words(qos), rules["QOS"], words)
    return Merged(limits | (qos or {}), disputed, shared)


def _counts(what: str, rule: Rule, said: Mapping[str, str]) -> Mapping[str, Json]:
    named = "all" if what.startswith("QOS") and rule is Rule.LARGEST else rule.value
    return {"counts": what, "rule": named, "claims": said}


def _of(own: Limits, place: str) -> Value | None:
    """Return what a claim says of a place: `GrpTRES=-1` covers each resource."""
    key = key_of(place)
    return own.get(place, own.get(key) if place != key else None)


def _one(place: str, claimed: Sequence[Value], rule: Rule) -> Value | None:
    """Return one value from several, oldest first; None if no rule settles it."""
    if rule is Rule.NEWEST:
        return claimed[-1]
    if len(claimed) == 1 or (len(set(claimed)) == 1 and rule is not Rule.SUM):
        return claimed[0]
    numbers = [one for one in claimed if isinstance(one, int)]
    if rule is Rule.CONFLICT or len(numbers) != len(claimed):
        return claimed[0] if len(set(claimed)) == 1 else None
    return _by_number(place, numbers, rule)


def _by_number(place: str, numbers: Sequence[int], rule: Rule) -> int:
    counted = [one for one in numbers if one != UNLIMITED]
    lowest = key_of(place) in _LOWEST
    if len(counted) < len(numbers) and (not counted or lowest == (rule is Rule.SMALLEST)):
        return UNLIMITED
    if rule is Rule.SUM:
        return min(sum(counted), _most(place))
    return max(counted) if rule is Rule.LARGEST else min(counted)


def _most(place: str) -> int:
    key, _, resource = place.partition("/")
    kind = LIMITS[key].kind
    if kind is Kind.TRES:
        return amounts.MOST_MEMORY if resource in ("mem", "bb") else amounts.MOST
    most = {Kind.WALL: values.MOST_MINUTES, Kind.SHARES: values.MOST_SHARES}
    return most.get(kind, values.MOST_COUNTED)


def _qos(claimed: Sequence[Limits], rule: Rule) -> Limits | None:
    """Return one list, or one list to add and one to take off, from those of claims."""
    own = [{p: v for p, v in limits.items() if key_of(p) == "QOS"} for limits in claimed]
    if not own:
        return {}
    if rule is Rule.NEWEST:
        return own[-1]
    if all(limits == own[0] for limits in own):
        return own[0]
    if rule is Rule.CONFLICT:
        return None
    added, taken = (
        frozenset().union(*(values.names(limits.get(place, "")) for limits in own))
        for place in ("QOS+", "QOS-")
    )
    if any("QOS" in limits for limits in own):
        listed = frozenset().union(*(values.names(limits.get("QOS", "")) for limits in own))
        return {"QOS": values.listed(listed | added)}
    # If one claim takes off what another adds, the one that adds is entitled to it.
    signed = {"QOS+": values.listed(added), "QOS-": values.listed(taken - added)}
    return {place: text for place, text in signed.items() if text}


def _in_words(own: Limits) -> str:
    return " ".join(f"{p}={v}" for p, v in sorted(own.items()) if key_of(p) == "QOS")
