"""What `provisioner doctor` says of a cluster: its programs, its version, what it enforces."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.lab.versions import at_least
from handlers.slurm import database
from handlers.slurm.doctor import judged
from provisioner.contract import (
    Level,
)
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster


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
    said = {one.message.removeprefix("does not enforce ").split(":")[0]: one.level for one in found}
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


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster with no account of ours."""
    return slurm_sites.which(request.param, tmp_path)


def test_doctor_names_a_cluster_that_is_not_known(cluster: Cluster) -> None:
    assert {finding.level.value for finding in cluster.handler().check()} == {"ok"}
    wrong = Cluster({**cluster.settings, "cluster": "nowhere"})
    assert any("nowhere" in finding.message for finding in wrong.handler().check())


def test_doctor_says_that_the_version_of_slurmdbd_was_tried(cluster: Cluster) -> None:
    version = cluster.handler()._tools.slurmdbd.version()
    assert version
    [said] = [one for one in cluster.handler().check() if one.message.startswith(version)]
    assert (said.level, said.subject) == (Level.OK, "slurmdbd")
    assert f"{version}: tested" in said.message


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("22.05.8", Level.OK, "22.05.8: tested"),
        ("22.05.11", Level.OK, "22.05.11: tested"),
        ("24.11.5", Level.OK, "two sacctmgr write at the same time"),
        ("26.05.5", Level.OK, "refuses some values that earlier releases cut off"),
        ("25.05.8", Level.WARNING, "25.05.8: not tested, unlike 22.05, 24.11, 26.05"),
        ("2.6", Level.WARNING, "2.6: not tested"),
        ("", Level.WARNING, "of an unknown version: not tested"),
    ],
)
def test_a_version_stands_beside_those_that_were_tried(
    version: str, level: Level, words: str
) -> None:
    found = judged(version)
    assert found.level is level
    assert words in found.message
    assert bool(found.advice) is (level is Level.WARNING)


ISOLATION = "innodb_snapshot_isolation"


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        (f"{ISOLATION}\tON\nversion\t11.8.9-MariaDB\n", Level.WARNING, "11.8.9-MariaDB: "),
        (f"{ISOLATION}\tOFF\nversion\t11.8.9-MariaDB\n", Level.OK, "11.8.9-MariaDB: "),
        ("version\t8.0.42\n", Level.OK, "8.0.42: "),
        ("", Level.OK, "of an unknown version: "),
    ],
)
def test_a_database_on_which_slurmdbd_may_end_is_told(
    variables: str, level: Level, words: str
) -> None:
    found = database.judged(variables)
    assert found.level is level
    assert found.message.startswith(words)
    assert (f"set {ISOLATION}=OFF" in found.advice) is (level is Level.WARNING)


def test_a_database_that_nobody_may_ask_is_told_with_where_to_look(tmp_path: Path) -> None:
    found = slurm_sites.emulated(tmp_path).handler().check()
    [said] = [one.message for one in found if one.subject == database.SUBJECT]
    assert f"MariaDB 11.6.2 or later, look that {ISOLATION} is OFF" in said


def test_a_database_that_does_not_answer_is_a_warning(tmp_path: Path) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    settings = {**cluster.settings, "mysql": [str(tmp_path / "nowhere")]}
    [warning] = [one for one in Cluster(settings).handler().check() if one.level is not Level.OK]
    assert (warning.level, warning.subject) == (Level.WARNING, database.SUBJECT)


@pytest.mark.lab
@pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab")
def test_a_real_mariadb_is_asked() -> None:
    lab = slurm_sites.lab()
    client = ["mariadb", "--no-defaults", f"--socket={lab['mariadb']['socket']}"]
    handler = Cluster({**slurm_sites.real().settings, "mysql": client}).handler()
    [found] = [one for one in handler.check() if one.subject == database.SUBJECT]
    version = lab["versions"]["mariadb"]
    assert found.message.startswith(version)
    as_shipped = Level.WARNING if at_least(version, "11.6.2") else Level.OK
    assert found.level is as_shipped


@pytest.mark.parametrize(
    ("program", "subject"), [("sacctmgr", "slurmdbd"), ("scontrol", "slurmctld")]
)
def test_doctor_names_a_program_that_cannot_be_run(
    tmp_path: Path, program: str, subject: str
) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    wrong = Cluster({**cluster.settings, program: [str(tmp_path / "nowhere")]})
    [error] = [one for one in wrong.handler().check() if one.level is Level.ERROR]
    assert error.subject == subject
    assert f"{tmp_path}/nowhere cannot be run: No such file" in error.message
    assert "install it, mount its file system" in error.advice
