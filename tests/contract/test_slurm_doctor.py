"""What `provisioner doctor` says of a slurmctld that does not enforce what slurmdbd keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.contract import Level
from tests.support import slurm_sites


@pytest.mark.parametrize(
    ("enforced", "missing"),
    [
        ("none", {"associations": "error", "limits": "error", "qos": "warning"}),
        ("(null)", {"associations": "error", "limits": "error", "qos": "warning"}),
        ("associations", {"limits": "error", "qos": "warning"}),
        ("associations,limits", {"qos": "warning"}),
        ("associations,qos", {"limits": "error"}),
        ("associations,limits,qos,safe", {}),
        ("all", {}),
    ],
)
def test_what_slurmctld_does_not_enforce_is_told(
    tmp_path: Path, enforced: str, missing: dict[str, str]
) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    assert cluster.state is not None
    kept = json.loads(cluster.state.read_text())
    cluster.state.write_text(json.dumps({**kept, "enforced": enforced}))
    found = [one for one in cluster.handler().check() if one.level is not Level.OK]
    said = {one.message.removeprefix("enforces no ").split(":")[0]: one.level for one in found}
    assert said == missing
    assert all("AccountingStorageEnforce=associations,limits,qos" in one.advice for one in found)
