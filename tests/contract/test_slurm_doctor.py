"""What `provisioner doctor` says of a slurmctld that does not enforce what slurmdbd keeps."""

from __future__ import annotations

import json
from dataclasses import replace
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


def test_a_slurmctld_that_may_not_be_asked_what_it_enforces_is_a_warning(tmp_path: Path) -> None:
    """As by an agent whose rules have no `scontrol show config` yet."""
    cluster = slurm_sites.emulated(tmp_path)
    guarded = tmp_path / "scontrol"
    refusal = 'case "$*" in "show config") echo "may not be run" >&2; exit 1;; esac'
    guarded.write_text(f'#!/bin/sh\n{refusal}\nexec "{tmp_path}/bin/scontrol" "$@"\n')
    guarded.chmod(0o755)
    handler = replace(cluster, settings={**cluster.settings, "scontrol": [str(guarded)]}).handler()
    [warning] = [one for one in handler.check() if one.level is not Level.OK]
    assert warning.level is Level.WARNING
    assert warning.message.startswith("does not say what it enforces: ")
