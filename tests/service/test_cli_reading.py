"""Verbs that only read say what is so: to a person in words, to a program as docs/cli.md says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli_site import SERVED, Desk, clean, sample, served, storage, user

DOCUMENT = Path(__file__).parents[2] / "docs/cli.md"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a site that served the samples, and in which one request waits, is held, or is later."""
    desk = served(tmp_path_factory.mktemp("reading") / "site")
    desk.serve("provisioner: 1\naction: request.retry\nrequest: nosuch\n")
    desk("pause", "slurm")
    desk("submit", desk.file("waits.yaml", Path(sample("compute.yaml")).read_text()))
    desk("submit", desk.file("held.yaml", user("held")))
    desk("submit", desk.file("late.yaml", "not_before: 2126-01-01T00:00:00Z\n" + user("late")))
    desk("pause", "directory-hpc.test")
    desk("run", "--drain", "--patience", "0.5", code=5)
    (desk.root / "manifest.jsonl").write_text(
        '{"action": "user.provision", "user": {"name": "asmith"}}\n'
    )
    desk("hold", desk.show("held.yaml")["id"])
    desk("run", "--drain", "--patience", "0.5", code=5)
    idle_people(desk)
    return desk


def idle_people(desk: Desk) -> None:
    """Configure a source of last use that saw one person."""
    program = desk.root / "uses"
    program.write_text("#!/bin/sh\nprintf 'jdoe\\t2026-01-02\\n'\n")
    program.chmod(0o755)
    source = f"{{after: 90, sources: {{uses: {{program: [{program}]}}}}}}"
    desk.set("service: sandbox\n", f"service: sandbox\nidle: {source}\n")


# JSON.

OPAQUE = {"before", "after", "facts", "state", "want", "read_back", "counts", "writers"}
"""Keys below which the names are the site's, or a backend's."""


def paths(value: Any, at: str = "") -> set[str]:
    """List the keys of plain data, with those of all items of a list together."""
    found: set[str] = set()
    if isinstance(value, list):
        for one in value:
            found |= paths(one, at)
    elif isinstance(value, dict):
        for key, inner in value.items():
            name = "*" if at == ".lanes" else key
            found.add(f"{at}.{name}")
            found |= set() if key in OPAQUE else paths(inner, f"{at}.{name}")
    return found


def documented(verb: str) -> set[str]:
    """Return the keys that the example of a verb in docs/cli.md has."""
    [section] = re.findall(
        rf"^### `provisioner {verb}[ `].*?(?=^##)", DOCUMENT.read_text() + "##", re.M | re.S
    )
    [example] = re.findall(r"^```json\n(.*?)^```", section, re.M | re.S)
    return paths(json.loads(example))


SEEN = {
    "queue": (["queue", "--ended", "9"],),
    "failed": (["failed"],),
    "show": (["show", "user-jdoe.yaml"], ["show", "wrong-quota.yaml"], ["show", "waits.yaml"]),
    "status": (["status", "user:jdoe"], ["status", "allocation:42"], ["status", "user:nobody1"]),
    "handlers": (["handlers"],),
    "config check": (["config", "check"],),
    "config diff": (["config", "diff"],),
    "check": (["check", sample("wrong-quota.yaml")], ["check", sample("compute.yaml")]),
    "plan": (["plan", sample("compute.yaml")],),
    "doctor": (["doctor"],),
    "audit verify": (["audit", "verify"],),
    "audit show": (["audit", "show"],),
    "list": (["list", "users"],),
    "quota": (["quota"],),
    "idle": (["idle", "--all"],),
    "health": (["health"],),
    "mail queue": (["mail", "queue"],),
    "removal": (["removal", "user:jdoe"],),
    "drift": (["drift"],),
    "adopt": (["adopt", "--manifest", "{desk}/manifest.jsonl"],),
}
RARE = (
    r".*\.(error|messages|problems|waiting_for|changed|already|retry|ended|held|suspensions|ends"
    r"|differences)(\..*)?"
)
"""Keys that are there, or not null, only where something was so."""


@pytest.mark.parametrize("verb", SEEN)
def test_what_a_verb_prints_for_programs_has_the_documented_keys(desk: Desk, verb: str) -> None:
    found = set()
    for words in SEEN[verb]:
        named = [word.replace("{desk}", str(desk.root)) for word in words]
        found |= paths(desk(*named, "--json", code=None).json)
    always = {path for path in documented(verb) if not re.fullmatch(RARE, path)}
    assert found <= documented(verb)
    assert always <= found


def test_every_verb_with_json_is_among_them() -> None:
    marked = re.findall(r"^### `provisioner ([^`]*?)(?: [A-Z\[][^`]*)?\[?--json", text(), re.M)
    assert set(map(str.strip, marked)) == set(SEEN)


def text() -> str:
    return DOCUMENT.read_text()


# queue.


def test_the_queue_says_for_what_each_request_waits(desk: Desk) -> None:
    said = desk("queue").out
    waits, held, late = (desk.show(f"{name}.yaml")["id"] for name in ("waits", "held", "late"))
    assert "lane slurm: 2 due, 0 later, paused by " in said
    assert re.search(
        rf"^1 accepted, the oldest .*\n  {short(waits)} .* allocation:42 .* waits.yaml", said, re.M
    )
    assert (
        "slurm-a/account/cf0003: waiting for its turn (lane slurm is paused: provisioner unpause"
        in said
    )
    assert re.search(rf"^1 held, the oldest .*\n  {short(held)} ", said, re.M)
    assert f"    to release it: provisioner release {held}\n" in said
    assert re.search(rf"^1 scheduled, the oldest .*\n  {short(late)} ", said, re.M)
    assert re.search(r"    until its not_before, 2126-01-01 \d\d:00 UTC, in \d+ d\n", said)
    assert "no service on this host serves the spool: `provisioner run`" in said


def short(request: str) -> str:
    """Return an id as the queue prints it."""
    return request[-6:].lower()


def test_the_queue_lists_every_lane_that_can_be_paused(desk: Desk) -> None:
    lanes = {row["lane"] for row in desk("handlers", "--json").json["instances"]}
    assert set(desk("queue", "--json").json["lanes"]) == lanes


def test_the_queue_says_why_nothing_is_taken_from_staging(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    assert desk("queue", "--json").json["trouble"] == ""
    staging = desk.spool / "staging"
    staging.chmod(0o733)
    trouble = desk("queue", "--json").json["trouble"]
    assert trouble.startswith(f"{staging} is writable by others and not sticky")
    assert trouble.endswith(f": chmod +t {staging}")
    assert f"the service takes nothing from staging: {trouble}\n" in desk("queue").out
    staging.chmod(0o1733)
    assert "takes nothing" not in desk("queue").out
    (staging / "late.yaml").write_text("provisioner: 1\n")
    (staging / ".half.yaml").write_text("provisioner: 1\n")
    assert desk("queue", "--json").json["staging"] == 1
    assert desk("queue").out.startswith(
        "no service on this host serves the spool; files not yet taken from staging: 1: "
        "`provisioner run`, or start the service\nthe service has taken no request yet\n"
    )


def test_the_queue_is_told_even_where_the_handlers_cannot_be_built(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk("submit", sample("user-jdoe.yaml"))
    desk("run", "--drain")
    desk.set("cluster: a", "clster: a")
    assert "\ndone: 1\n" in desk("queue").out


def test_the_queue_lists_no_more_than_it_is_told_to(desk: Desk) -> None:
    assert len(desk("queue", "--limit", "2", "--json").json["requests"]) == 2
    again = Path(sample("wrong-quota.yaml")).read_bytes() + b"# once more\n"
    desk("submit", "-", stdin=again)
    desk("run", "--drain", "--patience", "0.5", code=None)
    assert "and 1 more before the oldest: --limit\n" in desk("queue", "--limit", "1").out


def test_the_queue_lists_the_newest_outcomes(desk: Desk) -> None:
    ended = desk("queue", "--ended", "20", "--json").json["ended"]
    assert {one["file"] for one in ended} >= {*SERVED, "wrong-quota.yaml"}
    assert [one["ended"] for one in ended] == sorted(one["ended"] for one in ended)
    two = desk("queue", "--ended", "2", "--json").json["ended"]
    assert two == ended[-2:]


def test_an_object_whose_backend_is_away_is_tried_again_when_the_lane_is(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    program = desk.root / "slurm/bin/sacctmgr"
    program.write_text("#!/bin/sh\nprintf 'error: \\033[5mConnection refused' >&2\nexit 1\n")
    desk.serve(sample("user-jdoe.yaml"))
    desk("submit", sample("compute.yaml"))
    desk("run", "--drain", "--patience", "0.5", code=5)
    said = desk("queue").out
    assert re.search(r"lane slurm: .*, backend away, next try in \d+ s: .*refused", said)
    assert re.search(r"\d object.* of lane slurm, which is away: see below", said)
    assert re.search(
        r"slurm-a/account/cf0003: .*refused \(retry in \d+ s\)", desk("show", "compute.yaml").out
    )
    assert clean(said) and clean(desk("show", "compute.yaml").out)


# show.


def test_a_request_is_found_by_all_its_names(desk: Desk) -> None:
    desk.begin("id: portal-7\n" + user("named"))
    found = desk.show("portal-7")["id"]
    assert desk.show(found)["id"] == desk.show(found.lower()[:26])["id"] == found
    assert desk.show("user-jdoe.yaml")["result"]["subject"] == "user:jdoe"


def test_of_several_requests_of_a_file_s_name_the_newest_is_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    first = desk.serve(sample("user-jdoe.yaml"))
    second = desk.serve(sample("user-jdoe.yaml"))
    assert desk.show("user-jdoe.yaml")["id"] == second != first


def test_the_beginning_of_several_ids_is_answered_with_the_ids(desk: Desk) -> None:
    beginning = desk.show("waits.yaml")["id"][:4]
    done = desk("show", beginning, code=3)
    assert desk.show("waits.yaml")["id"] in done.err


def test_who_shows_what_is_not_there_learns_where_to_look(desk: Desk) -> None:
    done = desk("show", "nosuch", code=3)
    assert "there is no request 'nosuch'" in done.err
    assert "provisioner queue --ended" in done.err


def test_an_open_request_says_for_what_it_waits_and_names_no_end(desk: Desk) -> None:
    said = desk("show", "waits.yaml").out
    assert "# Accepted. allocation.provision of allocation:42" in said
    assert "# Waits: slurm-a/account/cf0003: waiting for its turn (lane slurm is paused" in said
    shown = desk.show("waits.yaml")
    assert "ended" not in shown["result"]
    assert {one["lane"] for one in shown["waiting_for"]} == {"slurm"}


def test_what_show_prints_is_the_file_and_its_result(desk: Desk) -> None:
    file, _, result = desk("show", "user-jdoe.yaml").out.partition("---\n")
    assert file == Path(sample("user-jdoe.yaml")).read_text()
    assert yaml.safe_load(result) == yaml.safe_load(beside(desk, "user-jdoe.yaml"))
    assert result.startswith("# Done. user.provision of user:jdoe")


def beside(desk: Desk, name: str) -> str:
    [path] = (desk.spool / "done").glob(f"*-{name}.result.yaml")
    return path.read_text()


def test_a_file_that_was_not_read_is_shown_with_its_reason(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    (desk.spool / "staging/large.yaml").write_bytes(b"#" * 100_000)
    desk("run", "--drain")
    said = desk("show", "large.yaml").out
    assert said.startswith(
        "# the service did not read the file\n---\n# Refused: nothing was done. large.yaml"
    )


@pytest.mark.parametrize("verb", ["queue", "show x", "status user:x", "plan -"])
def test_no_reading_verb_makes_a_journal(tmp_path: Path, verb: str) -> None:
    desk = Desk(tmp_path / "site")
    journal = desk.root / "journal/journal.db"
    journal.unlink()
    done = desk(*verb.split(), stdin=user("x").encode(), code=4)
    assert "what to do: provisioner init" in done.err
    assert not journal.exists()


def test_times_are_told_to_programs_in_one_way(desk: Desk) -> None:
    [waits] = [r for r in desk("queue", "--json").json["requests"] if r["file"] == "waits.yaml"]
    moments = [waits["accepted"], waits["waiting_for"][0]["due"]]
    moments.append(desk.show("waits.yaml")["result"]["accepted"])
    for moment in moments:
        assert time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S") and moment.endswith("Z")


def test_what_was_refused_says_whom_it_seems_to_be_about_which_line_and_what_to_type(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path / "site")
    wrong = user("jdoe").replace("user.provision", "user.provison")
    refused = desk.serve(wrong)
    assert desk.show(refused)["result"]["about"] == "user.provison user:jdoe"
    out = desk("show", refused).out
    assert "(user.provison user:jdoe), asked for by" in out
    assert "# Line 2, action: " in out
    assert f"# Its file: {desk.spool}/failed/{refused}-" in out
    assert f"provisioner retry {refused}" in out


def test_a_mistake_that_only_the_service_finds_has_its_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.serve(user("jdoe"))
    refused = desk.serve(storage().replace("hpc-storage", "hpc-storge"))
    out = " ".join(desk("show", refused).out.replace("#", " ").split())
    assert "Line 5, allocation.resource: there is no resource 'hpc-storge'" in out
