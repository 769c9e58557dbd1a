"""What a receipt tells its writer of a request that is done, by the real handlers of a sandbox."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.system.users import user_name
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
