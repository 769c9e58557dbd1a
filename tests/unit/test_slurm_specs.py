"""Slurm's limits: what may be set, and when two values say the same."""

from __future__ import annotations

import pytest

from handlers._slurm_specs import kept, parse_specs, same
from provisioner.contract import InvalidRequest


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("Fairshare=100", {"Fairshare": "100"}),
        ("Fairshare=100:QOS+=debug", {"Fairshare": "100", "QOS+": "debug"}),
        ("GrpTRES=cpu=10,mem=1G:MaxJobs=5", {"GrpTRES": "cpu=10,mem=1G", "MaxJobs": "5"}),
        ("MaxWall=1-00:00:00:MaxJobs=5", {"MaxWall": "1-00:00:00", "MaxJobs": "5"}),
        ("maxsubmit=3", {"MaxSubmitJobs": "3"}),
        ("GrpJobs=-1", {"GrpJobs": "-1"}),
        ("", {}),
    ],
)
def test_specs_are_parsed(text: str, limits: dict[str, str]) -> None:
    assert parse_specs(text) == limits


@pytest.mark.parametrize(
    "text",
    [
        "AdminLevel=Administrator",
        "MaxJobs=1 AdminLevel=Administrator",
        "DefaultAccount=root",
        "MaxJobs",
        "MaxJobs+=3",
        "Coordinator=x",
        "MaxJobs=$(id)",
        "Parent=root",
    ],
)
def test_what_is_not_on_the_list_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_specs(text)


@pytest.mark.parametrize(
    ("key", "want", "seen", "alike"),
    [
        ("MaxJobs", "5", "5", True),
        ("MaxJobs", "5", "", False),
        ("MaxJobs", "-1", "", True),
        ("Fairshare", "-1", "1", True),
        ("GrpTRES", "cpu=10,mem=1G", "cpu=10,mem=1024M", True),
        ("GrpTRES", "cpu=10", "cpu=10,mem=1024M", True),
        ("GrpTRES", "cpu=10", "cpu=11", False),
        ("MaxWall", "1440", "1-00:00:00", True),
        ("MaxWall", "01:00:00", "1:00:00", True),
        ("MaxWall", "60", "02:00:00", False),
        ("QOS", "b,a", "a,b", True),
        ("QOS", "a", "a,b", False),
        ("QOS+", "a", "a,b", True),
    ],
)
def test_values_are_compared_as_slurm_means_them(
    key: str, want: str, seen: str, alike: bool
) -> None:
    assert same(key, want, seen) is alike


@pytest.mark.parametrize(
    ("own", "seen", "expected"),
    [
        ({"MaxJobs": "3"}, {"MaxJobs": "3", "QOS": "normal"}, ["MaxJobs=3"]),
        ({"Fairshare": "1", "QOS": ""}, {"Fairshare": "1", "QOS": "normal"}, []),
        ({"Fairshare": "7"}, {"Fairshare": "7"}, ["Fairshare=7"]),
        ({"QOS": "qb"}, {"QOS": "qb"}, ["QOS=qb"]),
        ({"QOS": "qa,qb"}, {"QOS": "normal,qa,qb"}, ["QOS+=qa,qb"]),
    ],
)
def test_an_association_is_made_anew_with_what_was_set_at_it(
    own: dict[str, str], seen: dict[str, str], expected: list[str]
) -> None:
    assert kept(own, seen) == expected


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("MaxJobs=abc", ""),
        ("MaxJobs=1.5", ""),
        ("Fairshare=much", ""),
        ("GrpTRES=gpuu", ""),
        ("GrpTRES=cpuu=64", "cpu"),
        ("GrpTRES=cpu=many", ""),
        ("GrpTRES=cpu=64,gres/=2", "gres"),
        ("MaxWall=long", ""),
        ("MaxWall=1-", ""),
    ],
)
def test_a_value_of_another_kind_is_refused(text: str, nearest: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs(text)
    assert (raised.value.field, raised.value.nearest) == ("specs", nearest)


@pytest.mark.parametrize(
    "text",
    ["MaxJobs=-1", "MaxJobs=", "Fairshare=parent", "GrpTRES=cpu=64,mem=10G,gres/gpu:a100=-1",
     "MaxWall=1-12:00:00", "MaxWall=90", "GrpTRESMins=billing=1000", "QOS=debug,long"],
)  # fmt: skip
def test_a_value_of_its_kind_is_taken(text: str) -> None:
    assert len(parse_specs(text)) == 1
