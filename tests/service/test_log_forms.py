"""`provisioner run --log`, on a sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "box")


def test_every_line_of_json_can_be_read_and_says_what_it_is_about(desk: Desk) -> None:
    desk("submit", "-", stdin=user("jdoe").encode())
    done = desk.shell("run", "--drain", "--verbose", "--log", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    [outcome] = [line for line in lines if line["logger"].endswith("filing")]
    assert (outcome["level"], outcome["subject"]) == ("info", "user:jdoe")
    assert outcome["message"].startswith(outcome["request"])


@pytest.mark.parametrize(
    ("form", "code", "told"),
    [("xml", 2, "expected plain, json or journald"), ("journald", 4, "--log json")],
)
def test_a_form_that_there_is_not_ends_before_anything_is_served(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, form: str, code: int, told: str
) -> None:
    monkeypatch.setattr("provisioner.monitoring.logs.JOURNAL", desk.root / "no-such")
    monkeypatch.setattr(
        "provisioner.monitoring.logs.ToJournald.__init__.__defaults__", (desk.root / "no-such",)
    )
    assert told in desk("run", "--drain", "--log", form, code=code).err
