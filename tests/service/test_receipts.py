"""What a receipt tells its writer of a request that is done, by the real handlers of a sandbox."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.config import schema
from provisioner.outcome.results import moment
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.system.users import user_name
from provisioner.wiring import build
from tests.support.cli_site import Desk

ALLOCATION = """\
provisioner: 1
id: portal-7
action: allocation.provision
allocation:
  id: "7"
  project: {code: cf7}
  users: [jdoe]
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "box")


def outputs(desk: Desk, name: str = "portal-7") -> dict[str, Any]:
    """Read what a receipt says that each step made."""
    path = desk.spool / "receipts" / user_name(os.geteuid()) / f"{name}.yaml"
    steps = yaml.safe_load(path.read_text())["steps"]
    return {step["step"]: step["outputs"] for step in steps if "outputs" in step}


@pytest.mark.parametrize(
    ("more", "step", "expected"),
    [
        (
            "  resource: hpc-storage\n  quota: {space: 2 GiB}\n",
            "fileset",
            {"path": "{root}/gpfs/fs1/cf7", "fileset": "cf7"},
        ),
        ("  resource: cluster-a\n  slurm: {account: tides}\n", "slurm_account",
         {"account": "tides"}),
    ],
    ids=["storage", "cluster"],
)  # fmt: skip
def test_a_receipt_says_where_what_was_made_is(
    desk: Desk, more: str, step: str, expected: dict[str, str]
) -> None:
    desk.serve("provisioner: 1\naction: user.provision\nuser: {name: jdoe}\n")
    desk.serve(ALLOCATION + more)
    made = outputs(desk)
    assert made[step] == {key: text.format(root=desk.root) for key, text in expected.items()}
    assert "associations" not in made, "one for each user would make the receipt as long as a list"


def test_who_may_write_requests_may_read_which_resources_there_are(desk: Desk) -> None:
    desk("run", "--drain")
    known = json.loads((desk.spool / "resources.json").read_text())["resources"]
    assert {"cluster-a", "hpc-storage"} <= set(known)


# Use of quotas.

STORAGE = ALLOCATION + "  resource: hpc-storage\n  quota: {space: 2 GiB}\n"


@pytest.fixture
def stored(desk: Desk) -> Desk:
    """A sandbox in which the fileset of an allocation is done, with something in it."""
    desk.serve("provisioner: 1\naction: user.provision\nuser: {name: jdoe}\n")
    holds(desk, 1024, 7)
    desk.serve(STORAGE)
    return desk


def holds(desk: Desk, kib: int, files: int) -> None:
    """Let the fileset hold something, as mmrepquota would say."""
    usage = {"cf7": {"blockUsage": str(kib), "filesUsage": str(files)}}
    (desk.root / "gpfs/faults.json").write_text(json.dumps({"usage": usage}))


def receipt(desk: Desk) -> Path:
    return desk.spool / "receipts" / user_name(os.geteuid()) / "portal-7.yaml"


def used(desk: Desk) -> dict[str, Any]:
    """Read what a receipt says of the use of each step."""
    steps = yaml.safe_load(receipt(desk).read_text())["steps"]
    return {step["step"]: step["use"] for step in steps if "use" in step}


def look(desk: Desk, now: float, before: Callable[[], object] = bool) -> None:
    """Read the use of all quotas once, as by schedule. before: called first, by a service that
    runs."""
    system = build(schema.load(desk.config))
    with closing(Spool.open(system.config.spool)) as spool:
        service = Service(system, spool)
        service.recover()
        before()
        service.house.quotas.look(now)
        service.clerk.catch_up()
    system.journal.close()


def test_a_receipt_says_what_is_used_and_when_that_was(stored: Desk) -> None:
    use = used(stored)
    assert list(use) == ["fileset"]
    at = datetime.fromisoformat(use["fileset"].pop("at"))
    assert use == {"fileset": {"space": 1024**2, "files": 7}}
    assert abs((datetime.now(UTC) - at).total_seconds()) < 600


def test_use_that_is_read_by_schedule_renews_the_receipt(stored: Desk) -> None:
    holds(stored, 2048, 9)
    later = time.time() + 86400
    look(stored, later)
    assert used(stored) == {"fileset": {"space": 2 * 1024**2, "files": 9, "at": moment(later)}}


def test_a_figure_that_is_older_than_the_step_does_not_count(stored: Desk) -> None:
    holds(stored, 2048, 9)
    look(stored, time.time() - 86400)
    assert used(stored)["fileset"]["files"] == 7


def test_a_receipt_that_was_removed_does_not_come_back_with_newer_use(stored: Desk) -> None:
    look(stored, time.time() + 86400, before=receipt(stored).unlink)
    assert not receipt(stored).exists()


def test_the_receipt_of_an_open_request_says_no_use(stored: Desk) -> None:
    (stored.root / "gpfs/faults.json").write_text('{"daemon": "down"}')
    more = STORAGE.replace("portal-7", "portal-8").replace("2 GiB", "3 GiB")
    stored("submit", "-", stdin=more.encode())
    stored("run", "--drain", "--patience", "1", code=None)
    text = receipt(stored).with_name("portal-8.yaml").read_text()
    assert all("use" not in step for step in yaml.safe_load(text)["steps"])
