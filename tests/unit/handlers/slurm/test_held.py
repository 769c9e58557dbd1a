"""What slurmctld holds of a user is told by a scontrol that waits, or else by a plain call."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.client import tools_of
from handlers.slurm.programs import Programs
from handlers.slurm.settings import Settings
from handlers.slurm.slurmctld import Held, Slurmctld
from handlers.slurm.spare import Spare
from provisioner.contract import Completed, Unavailable
from provisioner.system.process import run
from provisioner.testing import site

LINE = "UserName=ann(4294967294) DefAccount=cf1 DefWckey=(null) AdminLevel=None"
WAITING = (
    f"#!/bin/sh\nread -r line && echo \"scontrol: $line\" && echo '{LINE}' && echo scontrol:\n"
)
FAILED = Held(frozenset([("", "ann")]))


class Asked:
    """A slurmctld. plain: the plain calls."""

    def __init__(self, program: Path, timeout: float = 20.0) -> None:
        self.plain: list[Sequence[str]] = []
        self.spare = Spare([str(program)], {}, 60.0)
        programs = Programs(self._run, timeout=timeout)
        self.slurmctld = Slurmctld(programs, ["scontrol"], spare=self.spare)

    def _run(self, argv: Sequence[str], **_: Any) -> Completed:
        self.plain.append(argv)
        return Completed(tuple(argv), 0, LINE + "\n", "")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "scontrol"
    path.touch(0o755)
    yield path


@pytest.mark.parametrize(
    ("text", "waits", "plain"),
    [
        (WAITING, True, 0),
        (WAITING, False, 1),
        (WAITING + "exit 1\n", True, 1),
        ("#!/bin/sh\nexit 1\n", True, 1),
    ],
)
def test_one_that_waits_is_asked_and_a_plain_call_if_it_fails(
    program: Path, text: str, waits: bool, plain: int
) -> None:
    program.write_text(text)
    asked = Asked(program)
    if waits:
        asked.spare.prepare()
    assert asked.slurmctld.held(["ann"], ["cf1"]) == FAILED
    assert len(asked.plain) == plain
    assert asked.slurmctld.held(["ann"], ["cf1"]) == FAILED
    assert len(asked.plain) == plain + 1


def test_one_that_gives_no_answer_is_as_a_plain_call_without_one(program: Path) -> None:
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    asked = Asked(program, timeout=0.1)
    asked.spare.prepare()
    with pytest.raises(Unavailable, match="gave no answer within"):
        asked.slurmctld.held(["ann"], ["cf1"])
    assert asked.plain == []


def test_one_is_started_when_users_are_to_be_added_soon(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text(WAITING)
    started = threading.Event()
    monkeypatch.setattr(Spare, "prepare", lambda _: started.set())
    Asked(program).slurmctld.prepare()
    assert started.wait(20)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, True),
        ({"scontrol": ["sudo", "scontrol"]}, False),
        ({"scontrol": []}, False),
        ({"sacctmgr": ["agent:slurm", "sacctmgr"]}, False),
        ({"sacctmgr_idle": 0}, False),
        ({"transport": "rest", "slurmrestd": "unix:/run/slurmrestd"}, False),
    ],
)
def test_none_waits_with_a_prefix_or_where_no_sacctmgr_does(
    given: Mapping[str, object], kept: bool
) -> None:
    settings = Settings.model_validate({"cluster": "a", **given})
    spare = tools_of(site("slurm-a", run=run), settings).slurmctld.spare
    assert (spare is not None) == kept
