"""`provisioner queue`: trouble first, short ids for every verb, filters, a summary."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from provisioner.journal.queries import lookup
from tests.support.cli_site import PROGRAM, Desk, storage, user

MISSING = user("jdoe").replace("user.provision", "user.provison")
COMPUTE = """provisioner: 1
action: allocation.provision
allocation:
  id: 21
  resource: cluster-a
  project: {code: CF7, pi: asmith}
  users: [jdoe, asmith]
  slurm: {qos: [supporters]}
"""


NOTHING = "nothing that failed or waits matches the filter"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Give a sandbox with a failed, a refused, a held and a waiting request, and a paused lane."""
    desk = Desk(tmp_path_factory.mktemp("queue") / "box")
    desk.serve(user("jdoe"), user("asmith"))
    desk.serve(COMPUTE, MISSING, storage().replace("hpc-storage", "hpc-storge"))
    desk("pause", "homes:" + str(desk.root / "home"))
    desk("submit", desk.file("held.yaml", "not_before: 2099-01-01T00:00:00Z\n" + user("later")))
    desk("submit", desk.file("waits.yaml", user("waits")))
    desk("run", "--drain", "--patience", "1", code=None)
    desk("hold", "held.yaml")
    desk("run", "--drain", "--patience", "1", code=None)
    return desk


def states(desk: Desk, *words: str) -> list[str]:
    """Return the states of what the queue lists."""
    seen = desk("queue", "--json", *words).json
    return [row["state"] for row in (*seen["failed"], *seen["requests"])]


def test_trouble_comes_first_with_its_reason(desk: Desk) -> None:
    out = desk("queue").out
    heads = re.findall(r"^\d+ (\w+), the oldest", out, re.M)
    assert heads == ["failed", "refused", "held", "accepted"]
    assert "    slurm-a: there is no QOS supporters" in out or "slurm-a: " in out
    assert "    did you mean hpc-storage?\n" in out


def test_what_cannot_be_read_shows_whom_it_seems_to_be_about(desk: Desk) -> None:
    assert re.search(r"user\.provison +user:jdoe +request[-0-9A-Z]*\.yaml of ", desk("queue").out)


def test_lanes_that_do_nothing_stand_in_one_line(desk: Desk) -> None:
    out = desk("queue").out
    assert len(re.findall("^lane ", out, re.M)) == 1
    assert re.search("^idle lanes: .*slurm", out, re.M)


def test_requests_that_steer_are_listed_if_they_are_asked_for(desk: Desk) -> None:
    assert "lane.pause" not in desk("queue", "--ended", "50").out
    assert "lane.pause" in desk("queue", "--ended", "50", "--controls").out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--state", "refused"], ["refused", "refused"]),
        (["--state", "failed,held"], ["failed", "held"]),
        (["--action", "user.*"], ["refused", "held", "accepted"]),
        (["--subject", "allocation:21"], ["failed"]),
        (["--user", "asmith"], ["failed"]),
        (["--project", "CF7"], ["failed"]),
        (["--handler", "slurm-a"], ["failed"]),
        (["--writer", "nobody-here"], []),
        (["--older", "1h"], []),
        (["--since", "2099-01-01"], []),
        (["--since", "1h", "--state", "failed"], ["failed"]),
    ],
    ids=" ".join,
)
def test_filters_narrow_the_list(desk: Desk, words: list[str], found: list[str]) -> None:
    assert states(desk, *words) == found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "faild"], "did you mean 'failed'?"),
        (["--older", "soon"], "'soon' is neither an age nor a time"),
    ],
)
def test_a_filter_that_is_wrong_says_what_is_expected(
    desk: Desk, words: list[str], said: str
) -> None:
    assert said in desk("queue", *words, code=3).err


@pytest.mark.parametrize("more", [[], ["--shape"]])
def test_a_filter_that_nothing_matches_is_told(desk: Desk, more: list[str]) -> None:
    assert NOTHING in desk("queue", "--project", "CF99", *more).out
    assert NOTHING not in desk("queue", *more).out


def test_a_short_id_is_taken_by_every_verb(desk: Desk) -> None:
    [row] = desk("queue", "--state", "failed", "--json").json["failed"]
    assert re.fullmatch(r"[0-9a-z]{6}", row["short"])
    assert desk.show(row["short"])["id"] == row["id"]
    assert row["id"] in desk("audit", "show", row["short"]).out
    for verb in ("retry", "dismiss"):
        desk(verb, row["short"])
        [file] = (desk.spool / "staging").iterdir()
        assert f'request: "{row["id"]}"' in file.read_text()
        file.unlink()


def test_ids_that_end_alike_get_longer_short_ids(desk: Desk) -> None:
    from provisioner.cli import site

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROVISIONER_CONFIG", str(desk.config))
        book = site.journal(site.config())
    with book.reading() as conn:
        [one] = [r["id"] for r in desk("queue", "--state", "held", "--json").json["requests"]]
        assert lookup.short(conn, [one])[one] == one[-6:].lower()
        patched = one[:18] + "ZZ" + one[20:]
        conn.exec_driver_sql("CREATE TEMP TABLE requests AS SELECT * FROM main.requests")
        conn.exec_driver_sql("UPDATE temp.requests SET id = ? WHERE state = 'failed'", (patched,))
        assert lookup.short(conn, [one])[one] == one[-8:].lower()
        with pytest.raises(Exception, match="2 ids end in"):
            lookup.ending(conn, one[-6:])
    book.close()


def test_a_summary_counts_by_reason_and_age(desk: Desk) -> None:
    head, total, *rows = desk("queue", "--shape").out.splitlines()
    assert head.split()[:2] == ["TOTAL", "<5min"]
    assert total.split()[0] == str(sum(int(row.split()[0]) for row in rows)) == "5"
    [failed] = [row for row in rows if " failed " in row]
    cause = failed.split()[9]
    assert states(desk, "--cause", cause) == ["failed"]


def on_a_terminal(desk: Desk, *words: str, **environment: str) -> str:
    """Run the real program with a terminal as its standard output; return what it printed."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "PROVISIONER_CONFIG": str(desk.config), "TERM": "xterm", **environment}
    env = {name: value for name, value in env.items() if value}
    subprocess.run([*PROGRAM, *words], env=env, stdout=theirs, check=True)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    return said.decode()


def test_a_terminal_gets_colours_unless_it_wants_none(desk: Desk) -> None:
    assert "\x1b[1;31m1 failed" in on_a_terminal(desk, "queue", NO_COLOR="")
    assert "\x1b[" not in on_a_terminal(desk, "queue", NO_COLOR="1")
    assert "\x1b[" not in desk("queue").out


def test_a_watched_queue_ends_at_once_when_it_is_interrupted(desk: Desk, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        watching = subprocess.Popen(
            [*PROGRAM, "queue", "--watch"],
            env={**os.environ, "PROVISIONER_CONFIG": str(desk.config)},
            stdout=out,
        )
        while "1 failed" not in (tmp_path / "out").read_text():
            assert watching.poll() is None
        watching.send_signal(2)
        assert watching.wait(timeout=30) == 0


def about(desk: Desk, verb: str, *words: str) -> list[str]:
    """Return the ids of the requests that a verb steers; nothing stays in staging."""
    desk(verb, *words)
    files = sorted((desk.spool / "staging").iterdir())
    ids = [re.findall(r'^request: "(\w+)"', file.read_text(), re.M)[0] for file in files]
    for file in files:
        file.unlink()
    return ids


@pytest.mark.parametrize(
    ("verb", "words", "found"),
    [
        ("retry", ["--all"], ["failed", "refused", "refused"]),
        ("retry", ["--handler", "slurm-a"], ["failed"]),
        ("hold", ["--action", "user.*"], ["accepted"]),
        ("hold", ["--user", "jdoe"], []),
        ("release", ["--all"], ["held"]),
        ("cancel", ["--user", "later"], ["held"]),
        ("cancel", ["--all"], ["held", "accepted"]),
        ("cancel", ["--state", "accepted"], ["accepted"]),
    ],
)
def test_verbs_steer_what_fits_a_filter(
    desk: Desk, verb: str, words: list[str], found: list[str]
) -> None:
    ids = about(desk, verb, *words)
    assert sorted(desk.show(request)["state"] for request in ids) == sorted(found)


def test_what_waits_for_one_cause_is_held_at_once(desk: Desk) -> None:
    [row] = [row for row in desk("queue", "--shape").out.splitlines() if " accepted " in row]
    assert len(about(desk, "hold", "--cause", row.split()[9])) == 1


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "cancel"])
def test_a_verb_wants_to_know_which_requests(desk: Desk, verb: str) -> None:
    assert "give one of" in desk(verb, code=2).err
    assert "give one of" in desk(verb, "x", "--all", code=2).err


def test_show_tells_what_happened_in_the_order_of_time(desk: Desk) -> None:
    [row] = desk("queue", "--state", "failed", "--json").json["failed"]
    story = desk("show", row["id"]).out.partition("# What happened:\n")[2].splitlines()
    times, kinds = zip(*(re.findall(r"^# (\S+Z)  (\w+)", line)[0] for line in story), strict=True)
    # Two lanes that record at the same moment each tell when they had ended.
    moments = [datetime.fromisoformat(time) for time in times]
    assert all(later > earlier - timedelta(seconds=1) for earlier, later in pairwise(moments))
    assert (kinds[0], kinds[-1]) == ("accepted", "failed")


def test_a_backend_that_is_away_is_told_once_with_how_many_wait_for_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.break_off("ad.json")
    for name in ("anna", "bert", "carl"):
        desk("submit", "-", stdin=user(name).encode())
    desk("run", "--drain", "--patience", "2", code=None)
    out = desk("queue").out
    assert out.count("FileNotFoundError") == 1
    assert re.search(
        r"^lane directory-campus\.test: .*, 3 requests wait for it, backend away", out, re.M
    )
    assert out.count("1 object of lane directory-campus.test, which is away: see below") == 3


def test_a_reason_of_several_lines_is_one_in_the_queue_and_whole_in_show(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk("submit", desk.file("held.yaml", "not_before: 2099-01-01T00:00:00Z\n" + user("later")))
    desk("run", "--drain", "--patience", "1", code=None)
    desk("hold", "held.yaml", "--reason", "first line\n  second line")
    desk("run", "--drain", "--patience", "1", code=None)
    out = desk("queue").out
    assert re.search(r"^    held .*first line second line$", out, re.M)
    assert "first line\\n  second line" in str(desk.show("held.yaml"))
