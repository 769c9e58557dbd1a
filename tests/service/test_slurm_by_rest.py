"""A request is served over slurmrestd as over sacctmgr, and waits while slurmrestd is away."""

from __future__ import annotations

import json
from pathlib import Path

from handlers.emulators.slurm import slurmrestd
from tests.support.cli_site import Desk, user

ALLOCATION = (
    "provisioner: 1\naction: allocation.provision\nallocation: {id: 1, resource: cluster-a, "
    "project: {code: CF1}, users: [jdoe], slurm: {specs: 'GrpTRES=cpu=64:QOS=normal'}}\n"
)


def test_a_request_is_served_over_slurmrestd_and_waits_while_it_is_away(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    socket = desk.root / "restd"
    desk.set(
        "cluster-a: {handlers: [slurm-a]}", "cluster-a: {handlers: [slurm-a], settings: {gate: no}}"
    )
    desk.set(
        "    cluster: a\n",
        f'    cluster: a\n    transport: rest\n    slurmrestd: "unix:{socket}"\n',
    )
    desk.serve(user("jdoe"))
    desk("submit", "-", stdin=ALLOCATION.encode())
    desk("run", "--drain", "--patience", "1", code=None)
    [waiting] = desk("queue", "--json").json["requests"]
    [reason] = [one["error"] for one in waiting["waiting_for"]]
    assert reason["type"] == "Unavailable"
    assert "slurmrestd does not answer" in reason["message"]
    state = desk.root / "slurm" / "slurmdbd.json"
    with slurmrestd.serving(socket, slurmrestd.Settings(state)):
        desk("run", "--drain")
        shown = desk.show(waiting["id"])
        assert (shown["state"], shown["result"].get("problems", [])) == ("done", [])
    rows = json.loads(state.read_text())["assocs"]
    [made] = [row for row in rows if row["account"] == "cf1" and not row["user"]]
    assert made["limits"] == {"grptres": {"cpu": 64}, "qos": {"": ["normal"]}}
    assert [row["account"] for row in rows if row["user"] == "jdoe"] == ["cf1"]
