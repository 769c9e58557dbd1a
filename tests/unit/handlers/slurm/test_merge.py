"""Several claims on one limit of Slurm's become one by a rule, or the limit stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from handlers.slurm.limits.merge import DEFAULTS, Merged, Rule, check_rules, merged
from handlers.slurm.limits.specs import parse_specs
from provisioner.contract import Claim
from provisioner.objects.merging import summary


def claims(*specs: str) -> list[Claim]:
    """Let allocations 9, 10, 11... ask for limits, the lowest number first."""
    return [
        Claim(f"allocation:{n}", {"limits": dict(parse_specs(text).limits)}, order=f"{n:03}")
        for n, text in enumerate(specs, 9)
    ]


def of(*specs: str, **rules: Rule) -> Merged:
    return merged(claims(*specs), check_rules(rules))


LARGEST: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]] = [
    (("GrpTRES=cpu=100", "GrpTRES=cpu=50"), {"GrpTRES/cpu": 100}),
    (("MaxJobs=9", "MaxJobs=10"), {"MaxJobs": 10}),
    (("GrpTRES=cpu=100", "GrpTRES=mem=2G"), {"GrpTRES/cpu": 100, "GrpTRES/mem": 2048}),
    (("GrpTRES=mem=1T", "GrpTRES=mem=900G"), {"GrpTRES/mem": 1 << 20}),
    (("MaxWall=2-00", "MaxWall=24:00:00"), {"MaxWall": 2880}),
    (("MaxJobs=-1", "MaxJobs=10"), {"MaxJobs": -1}),
    (("GrpTRES=-1", "GrpTRES=cpu=10"), {"GrpTRES": -1, "GrpTRES/cpu": -1}),
    (("Fairshare=7", "Fairshare=30"), {"Fairshare": 30}),
    (("Priority=-1", "Priority=5"), {"Priority": 5}),
    (("MinPrioThresh=9", "MinPrioThresh=5"), {"MinPrioThresh": 5}),
    (("MinPrioThresh=-1", "MinPrioThresh=5"), {"MinPrioThresh": -1}),
    (("QOS=debug", "QOS=viz"), {"QOS": "debug,viz"}),
    (("QOS=debug", "QOS+=long"), {"QOS": "debug,long"}),
    (("QOS+=a", "QOS+=b"), {"QOS+": "a,b"}),
    (("QOS-=a", "QOS+=a"), {"QOS+": "a"}),
    (("QOS-=a", "QOS+=b"), {"QOS+": "b", "QOS-": "a"}),
    (("QOS-=a", "QOS=a,b"), {"QOS": "a,b"}),
    (("QOS=", "QOS=b"), {"QOS": "b"}),
    (("QOS-=a", "MaxJobs=1"), {"QOS-": "a", "MaxJobs": 1}),
    (("DefaultQOS=a", "DefaultQOS=a"), {"DefaultQOS": "a"}),
]


@pytest.mark.parametrize(("specs", "limits"), LARGEST, ids=lambda one: " ".join(map(str, one)))
def test_each_limit_is_the_one_that_lets_most_in_whoever_comes_first(
    specs: tuple[str, ...], limits: Mapping[str, Any]
) -> None:
    one, other = of(*specs), of(*specs[::-1])
    assert (one.limits, other.limits) == (limits, limits)
    assert (one.disputed, other.disputed) == ({}, {})


RULES: Sequence[tuple[str, Rule, tuple[str, ...], Mapping[str, Any]]] = [
    ("GrpTRES", Rule.SUM, ("GrpTRES=cpu=100", "GrpTRES=cpu=50"), {"GrpTRES/cpu": 150}),
    ("GrpTRES", Rule.SUM, ("GrpTRES=cpu=50", "GrpTRES=cpu=50"), {"GrpTRES/cpu": 100}),
    ("GrpTRES", Rule.SUM, ("GrpTRES=cpu=-1", "GrpTRES=cpu=50"), {"GrpTRES/cpu": -1}),
    ("MaxJobs", Rule.SUM, ("MaxJobs=2147483647", "MaxJobs=9"), {"MaxJobs": 2**31 - 1}),
    ("MaxJobs", Rule.SMALLEST, ("MaxJobs=9", "MaxJobs=10"), {"MaxJobs": 9}),
    ("MaxJobs", Rule.SMALLEST, ("MaxJobs=-1", "MaxJobs=10"), {"MaxJobs": 10}),
    ("MaxJobs", Rule.NEWEST, ("MaxJobs=9", "MaxJobs=3"), {"MaxJobs": 3}),
    ("MaxJobs", Rule.NEWEST, ("MaxJobs=9", ""), {"MaxJobs": 9}),
    ("MaxJobs", Rule.CONFLICT, ("MaxJobs=9", "MaxJobs=9"), {"MaxJobs": 9}),
    ("Fairshare", Rule.NEWEST, ("Fairshare=9", "Fairshare=parent"), {"Fairshare": "parent"}),
    ("DefaultQOS", Rule.NEWEST, ("DefaultQOS=a", "DefaultQOS=b"), {"DefaultQOS": "b"}),
    ("QOS", Rule.NEWEST, ("QOS=a", "QOS+=b"), {"QOS+": "b"}),
]


@pytest.mark.parametrize(("key", "rule", "specs", "limits"), RULES)
def test_a_site_chooses_the_rule(
    key: str, rule: Rule, specs: tuple[str, ...], limits: Mapping[str, Any]
) -> None:
    both = of(*specs, **{key: rule})
    assert (both.limits, both.disputed) == (limits, {})


CONFLICTS: Sequence[tuple[Mapping[str, Rule], tuple[str, str], str, tuple[str, str]]] = [
    ({}, ("DefaultQOS=a", "DefaultQOS=b"), "DefaultQOS", ("DefaultQOS=a", "DefaultQOS=b")),
    ({}, ("Fairshare=9", "Fairshare=parent"), "Fairshare", ("Fairshare=9", "Fairshare=parent")),
    ({"GrpTRES": Rule.CONFLICT}, ("GrpTRES=mem=1G", "GrpTRES=mem=2G"), "GrpTRES/mem",
     ("GrpTRES=mem=1G", "GrpTRES=mem=2G")),
    ({"QOS": Rule.CONFLICT}, ("QOS=a", "QOS+=b"), "QOS", ("QOS=a", "QOS+=b")),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "specs", "place", "said"), CONFLICTS)
def test_what_no_rule_settles_is_in_no_want_and_who_wants_what_is_said(
    rules: Mapping[str, Rule], specs: tuple[str, str], place: str, said: tuple[str, str]
) -> None:
    both = of(specs[0], f"{specs[1]}:MaxJobs=5", **rules)
    told = dict(zip(("allocation:9", "allocation:10"), said, strict=True))
    assert both == Merged({"MaxJobs": 5}, {place: told}, {})


def test_what_counts_is_told_with_the_rule_and_who_wants_what() -> None:
    both = of("GrpTRES=cpu=100:QOS=debug:MaxJobs=5", "GrpTRES=cpu=50:QOS+=long:MaxJobs=5")
    assert summary({"shared": both.shared, "disputed": both.disputed}) == (
        "GrpTRES=cpu=100 (largest): allocation:9 wants GrpTRES=cpu=100, "
        "allocation:10 wants GrpTRES=cpu=50",
        "QOS=debug,long (all): allocation:9 wants QOS=debug, allocation:10 wants QOS+=long",
    )


def test_of_one_age_the_higher_number_counts_as_the_newer() -> None:
    both = [Claim(one.claimant, one.want) for one in claims("MaxJobs=9", "MaxJobs=3")]
    rules = check_rules({"MaxJobs": Rule.NEWEST})
    assert merged(both[::-1], rules).limits == {"MaxJobs": 3}


@pytest.mark.parametrize(
    ("name", "rule"), [("MaxJob", Rule.SUM), ("QOS", Rule.SUM), ("DefaultQOS", Rule.LARGEST)]
)
def test_a_rule_that_cannot_be_is_refused(name: str, rule: Rule) -> None:
    with pytest.raises(ValueError, match=name):
        check_rules({name: rule})


def test_every_limit_has_a_rule() -> None:
    assert check_rules({}) == DEFAULTS
