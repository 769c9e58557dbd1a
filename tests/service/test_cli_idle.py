"""`provisioner idle` and the options of `idle`, on a sandbox."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner.journal.figures import idle as figures
from provisioner.journal.figures.idle import Last
from provisioner.journal.journal import Journal
from tests.support.cli_site import Desk, served


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A sandbox in which all samples were served, and a program that says who used something."""
    made = served(tmp_path / "site")
    program = made.root / "homes"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    program.write_text(f"#!/bin/sh\nprintf 'jdoe\\t{today}\\n'\n")
    program.chmod(0o755)
    made.set("service: sandbox\n", f"service: sandbox\nidle: {{after: 90, sources: {{{HOMES}}}}}\n")
    made.set("SITE", str(made.root))
    return made


HOMES = "homes: {program: [SITE/homes]}"


def test_a_site_without_the_option_closes_nobody(tmp_path: Path) -> None:
    made = served(tmp_path / "site")
    said = made("idle").out
    assert said == "nobody is closed for being idle: `idle.after` is not set in the configuration\n"
    assert made("idle", "--json").json == {"people": [], "problems": []}


def test_who_is_not_idle_is_shown_with_all_and_from_which_source(desk: Desk) -> None:
    assert "nobody is idle" in desk("idle").out
    line = next(line for line in desk("idle", "--all").out.splitlines() if "jdoe" in line)
    assert "(homes, 0 days ago)" in line and "not idle" in line
    [jdoe] = desk("idle", "jdoe", "--all", "--json").json["people"]
    assert (jdoe["step"], jdoe["source"], jdoe["closed"]) == ("used", "homes", None)


def test_a_source_in_doubt_is_named(desk: Desk) -> None:
    (desk.root / "homes").write_text("#!/bin/sh\nexit 3\n")
    said = desk("idle", code=1).out
    assert "nobody is warned or closed: homes:" in said and "exited with 3" in said


WRONG = {
    "a handler that there is not": (
        "sources: {hcp1: {}}",
        ("idle.sources.hcp1", "there is no handler 'hcp1'"),
    ),
    "a handler that knows nothing of it": (
        "sources: {fs1: {}}",
        ("idle.sources.fs1", "'fs1' does not know when people last used it"),
    ),
    "an option that there is not": ("sources: {x: {programme: [x]}}", ("program", "idle")),
    "too few days": ("after: 20", ("idle.after", "30")),
    "warnings out of order": ("warn: [1, 7]", ("idle.warn", "must fall from number to number")),
}


@pytest.mark.parametrize("name", WRONG)
def test_config_check_tells_what_is_wrong(desk: Desk, name: str) -> None:
    given, words = WRONG[name]
    key = given.partition(":")[0]
    whole = {"after": "after: 90", "sources": f"sources: {{{HOMES}}}", key: given}
    desk.set(
        f"idle: {{after: 90, sources: {{{HOMES}}}}}".replace("SITE", str(desk.root)),
        f"idle: {{{', '.join(whole.values())}}}",
    )
    told = desk("config", "check", code=None)
    assert told.code != 0
    for word in words:
        assert word in told.err
    assert "line" in told.err


def doubt(desk: Desk, *problems: str) -> None:
    """Let the last round have been in doubt."""
    book = Journal.open(desk.root / "journal/journal.db")
    with book.transaction() as conn:
        figures.note(conn, Last(time.time(), problems))
    book.close()


def told(desk: Desk) -> tuple[list[str], bool]:
    """Return what `doctor` says of idle people, and whether `health` says anything."""
    found = desk("doctor", "--json", code=None).json
    messages = [one["message"] for one in found if one["subject"] == "idle"]
    return messages, "idle: nobody is warned or closed" in desk("health", code=None).out


def test_a_round_in_doubt_is_told_by_doctor_and_health(desk: Desk) -> None:
    assert told(desk) == ([], False)
    doubt(desk, "homes: it printed nothing", "idle.exempt.groups: no group")
    said = "nobody is warned or closed: homes: it printed nothing (and 1 more)"
    assert told(desk) == ([said], True)
    doubt(desk)
    assert told(desk) == ([], False)


def test_a_doubt_of_a_site_that_closes_nobody_any_more_is_not_told(desk: Desk) -> None:
    doubt(desk, "homes: it printed nothing")
    desk.set("idle: {after: 90,", "idle: {")
    assert told(desk) == ([], False)
