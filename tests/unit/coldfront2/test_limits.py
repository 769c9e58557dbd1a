"""Limits in ColdFront 2's fields become words that the Slurm handler reads as the same limits."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from handlers.slurm.limits.specs import parse_specs
from provisioner.coldfront2.limits import Association, of_account, of_users, wall

HOURS = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"fairshare": 1}, ""),
        ({"fairshare": 10}, "Fairshare=10"),
        ({"fairshare": 10, "account_fairshare": 5}, "Fairshare=parent"),
        ({"max_jobs": 0, "max_submit_jobs": 7}, "MaxJobs=0:MaxSubmitJobs=7"),
        ({"max_tres_per_job": {"node": 5, "cpu": 20}}, "MaxTRES=cpu=20,node=5"),
        ({"max_tres_per_job": {"gres/gpu:a100": 2, "mem": "1.5T"}},
         "MaxTRES=gres/gpu:a100=2,mem=1.5T"),
        ({"max_tres_mins_per_job": {"cpu": 360}}, "MaxTRESMins=cpu=360"),
        ({"max_tres_per_job": {}}, ""),
        ({"max_wall": 24 * HOURS}, "MaxWall=24:00:00"),
        ({"default_qos": "normal"}, "DefaultQOS=normal"),
        ({"offered": ("normal",), "added": ("long",), "removed": ("debug",)},
         "QOS+=normal,long:QOS-=debug"),
        ({"offered": ("normal", "debug"), "removed": ("debug",)}, "QOS+=normal:QOS-=debug"),
    ],
)  # fmt: skip
def test_a_users_limits_are_words_that_the_handler_reads(
    fields: dict[str, Any], words: str
) -> None:
    assert of_users(Association(**fields)) == (words, ())
    parse_specs(words)


def test_an_accounts_qos_are_limits_of_the_account() -> None:
    association = Association(account_added=("long",), account_removed=("debug",), added=("own",))
    assert of_account(association) == "QOS+=long:QOS-=debug"


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (90 * datetime.timedelta(seconds=1), "00:01:30"),
        (1 * HOURS, "01:00:00"),
        (100 * HOURS, "100:00:00"),
    ],
)
def test_a_wall_time_has_hours_minutes_and_seconds(time: datetime.timedelta, text: str) -> None:
    """ColdFront 2's own dump writes seconds, and Slurm reads a bare number as minutes."""
    assert wall(time) == text


@pytest.mark.parametrize(
    "amounts",
    ["cpu=20", ["cpu"], {"cpu": "20:Fairshare=9"}, {"cpu": "20,node=1"}, {"cpu,node": 1},
     {"cpu": None}, {"cpu": {"node": 1}}, {"": 1}],
    ids=str,
)  # fmt: skip
def test_what_is_no_list_of_amounts_is_left_out_and_named(amounts: Any) -> None:
    words, [problem] = of_users(Association(max_tres_per_job=amounts, max_jobs=3))
    assert words == "MaxJobs=3"
    assert problem.startswith("correct the max TRES per job of the Slurm association")
