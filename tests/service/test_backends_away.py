"""A backend that is away for a while, its programs too, costs no request: what needs it waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk, sample

PROGRAMS = {
    "Slurm is unmounted": ("slurm", "compute.yaml", "sacctmgr cannot be run"),
    "the mm commands are unmounted": ("gpfs", "storage.yaml", "mmlsfs cannot be run"),
    "getent is gone": ("bin", "user-jdoe.yaml", "getent cannot be run"),
}


@pytest.mark.parametrize(("place", "file", "says"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_filewaits_for_a_program_that_cannot_be_run_and_goes_on_when_it_can(
    tmp_path: Path, place: str, file: str, says: str
) -> None:
    desk = Desk(tmp_path / "site")
    if file != "user-jdoe.yaml":
        desk.serve(sample("user-jdoe.yaml"), sample("user-asmith.json"))
    away = desk.break_off(place)
    desk("submit", sample(file))
    desk("run", "--drain", "--patience", "1", code=None)
    queue = desk("queue", "--json").json
    [waiting] = queue["requests"]
    reasons = {one["error"]["type"]: one["error"]["message"] for one in waiting["waiting_for"]}
    assert says in reasons["Unavailable"]
    assert any(says in (lane["breaker_reason"] or "") for lane in queue["lanes"].values())

    away.rename(desk.root / place)
    desk("run", "--drain")
    assert desk.show(waiting["id"])["state"] == "done"
