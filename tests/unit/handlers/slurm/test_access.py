"""Which wants of an association or account shut people out, by table."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.slurm.access import shuts


def want(partitions: tuple[str, ...] = (), **limits: Any) -> dict[str, Any]:
    named = {name.replace("__", "/"): value for name, value in limits.items()}
    return {"partitions": partitions, "limits": named}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (want(), want(("gpu",)), True),
        (want(("gpu",)), want(("debug",)), True),
        (want(("debug", "gpu")), want(("gpu",)), True),
        (want(("gpu",)), want(("debug", "gpu")), False),
        (want(("gpu",)), want(), False),
        (want(), want(MaxJobs=0), True),
        (want(MaxJobs=5), want(MaxJobs=0), True),
        (want(MaxJobs=0), want(MaxJobs=0), False),
        (want(MaxJobs=5), want(MaxJobs=1), False),
        (want(), want(GrpTRES__cpu=0), True),
        (want(GrpTRES__cpu=0), want(GrpTRES__cpu=0, GrpTRES__mem=0), True),
        (want(), want(MaxWall=0), True),
        (want(), want(Fairshare=0, MaxJobsAccrue=0, Priority=0), False),
        (want(QOS="long,normal"), want(QOS="long"), True),
        (want(QOS="long"), want(QOS="long,normal"), False),
        (want(), want(QOS="long"), False),
        (want(QOS="long"), want(), False),
    ],
)
def test_a_lost_partition_a_lost_qos_and_a_limit_of_0_shut_people_out(
    before: dict[str, Any], after: dict[str, Any], found: bool
) -> None:
    assert shuts(before, after) is found
