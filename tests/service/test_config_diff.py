"""`config diff`: what is served, against the file as somebody edited it since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.journal import facts
from provisioner.journal.journal import Journal
from tests.support.cli_site import Desk, user
from tests.support.waiting import until


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "site")


@pytest.fixture
def served(desk: Desk) -> Iterator[Desk]:
    """Have a site that runs, and that an object of slurm-a has gone through before."""
    desk.serve(user("jdoe"))
    with desk.service():
        yield desk


def warnings(desk: Desk) -> list[dict[str, Any]]:
    found = desk("doctor", "--json", code=None).json
    return [one for one in found if one["level"] == "warning" and one["subject"] == "configuration"]


def test_a_site_that_never_ran_has_nothing_to_compare_with(desk: Desk) -> None:
    assert desk("config", "diff", code=5).out == (
        "no service has recorded a start: nothing to compare with\n"
    )
    plain = desk("config", "diff", "--json", code=5).json
    assert (plain["same"], plain["since"], plain["differences"]) == (None, None, [])


def test_a_file_that_is_served_as_it_is_is_told_so(served: Desk) -> None:
    out = served("config", "diff").out
    assert "serves what has been served since 20" in out
    assert out.endswith(f"the service runs with this configuration: {served.config}\n")
    assert served("config", "diff", "--json").json["same"] is True
    assert warnings(served) == []


def test_a_changed_option_is_told_with_its_line_and_what_a_restart_does(served: Desk) -> None:
    served.set("cluster: a", "cluster: b")
    served.config.write_text(served.config.read_text() + "drift: {most_removed: 3}\n")
    line = next(
        n for n, text in enumerate(served.config.read_text().splitlines(), 1) if "slurm-a:" in text
    )
    out = served("config", "diff", code=1).out
    assert "2 differences\n" in out
    assert 'handlers.slurm-a.cluster: "a" -> "b"\n' in out
    assert "drift.most_removed: 10 -> 3\n" in out
    assert "handler slurm-a: the restart itself writes nothing. The new settings reach its" in out
    assert "drift: in force from then on; no object changes by it\n" in out
    plain = served("config", "diff", "--json", code=1).json
    [setting] = [one for one in plain["differences"] if one["key"] == "handlers.slurm-a.cluster"]
    assert line <= setting["line"] <= line + 5
    assert (setting["before"], setting["after"]) == ("a", "b")


def test_a_handler_that_is_gone_is_told_with_its_objects(served: Desk) -> None:
    served.set(f"  homes:\n    use: home_directory\n    root: {served.root}/home\n", "")
    out = served("config", "diff", code=1).out
    assert "handler homes: gone. Its backend keeps 1 object, and nobody" in out


def test_a_file_with_which_no_service_would_start_is_told(served: Desk) -> None:
    served.set("[slurm-a]", "[slrm-a]")
    assert (
        "a restart would fail now: provisioner config check" in served("config", "diff", code=1).out
    )


def test_doctor_warns_of_a_file_that_is_not_what_is_served(served: Desk) -> None:
    served.set("cluster: a", "cluster: b")
    [warning] = warnings(served)
    assert "was changed after the service started: handlers.slurm-a.cluster" in warning["message"]
    assert warning["advice"] == "provisioner config diff; then restart the service"


def test_a_service_that_ended_is_compared_with_and_doctor_does_not_warn(desk: Desk) -> None:
    desk.serve(user("jdoe"))
    desk.set("cluster: a", "cluster: b")
    out = desk("config", "diff", code=1).out
    assert "no service on this host serves the spool; the last one served what had been" in out
    assert warnings(desk) == []


def test_a_restart_serves_the_file_as_it_is_then(desk: Desk) -> None:
    desk.serve(user("jdoe"))
    desk.set("cluster: a", "cluster: b")
    with desk.service():
        until(
            lambda: desk("config", "diff", "--json", code=None).json["same"], "the service reads it"
        )
        assert "the service runs with this configuration" in desk("config", "diff").out


def test_a_start_with_the_same_configuration_writes_nothing(desk: Desk) -> None:
    records = []
    for _ in range(2):
        desk("run", "--drain")
        book = Journal.open(desk.root / "journal/journal.db")
        with book.reading() as conn:
            records.append((facts.get(conn, facts.SERVED), facts.get(conn, facts.POSITION)))
        book.close()
    assert records[0] == records[1]
    assert records[0][0] is not None
