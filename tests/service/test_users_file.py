"""Users in a file of their own: an allocation that its body has no place for."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from provisioner.admission.acceptance import Acceptance
from provisioner.contract import InvalidRequest
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import VERSION
from provisioner.journal.sqlite import cells
from provisioner.recovery import backup
from provisioner.request import crowds
from provisioner.request.request import parse_request
from provisioner.spool.submit import drop_companion
from provisioner.system.ulid import RequestId
from tests.support.cli_site import Desk
from tests.support.engine_site import Killed, Site, allocation, control, release
from tests.support.journal_files import dump, replayed
from tests.support.policy_site import send, why
from tests.support.user_lists import listed, request

STRANGER, PORTAL, OTHER = 4714, 4711, 4715
RULES = """\
policy:
  rules:
  - {who: [uid-4711, uid-4715, root], actions: ["*"], others: true}
"""
LONG = [f"a{'b' * 12}{n:05}" for n in range(6000)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def members(site: Site) -> set[str]:
    return {key.rpartition("/")[2] for key in site.first.rows if "/member/" in key}


def the_last(site: Site) -> Record:
    with site.system.journal.reading() as conn:
        last = RequestId(request_rows.last_id(conn))
        return request_rows.load(conn, [last])[last]


def test_an_allocation_of_six_thousand_long_names_is_made(site: Site) -> None:
    site.request(listed(site, LONG))
    assert members(site) == set(LONG)
    assert the_last(site).state == "done"
    assert not (site.spool.staging / "1.users").exists()


def test_who_is_left_out_of_the_next_list_loses_access(site: Site) -> None:
    site.request(listed(site, ["ann", "bob", "ann"]))
    site.request(listed(site, ["bob"]))
    assert members(site) == {"bob"}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "is not there": ({"file": "2.users"}, "ann\n", "2.users is not in staging"),
    "has another digest": ({"sha256": "0" * 64}, "ann\n", "is not what the request says"),
    "has another size": ({"size": 5}, "ann\n", "is not what the request says"),
    "is called otherwise": ({"file": "1.txt"}, "ann\n", "is not a list of users"),
    "is too large": ({"size": crowds.SIZE + 1}, "ann\n", "has more than"),
    "has too many": ({}, "\n".join(f"u{n}" for n in range(crowds.MOST + 1)), "the maximum is"),
    "is no text": ({}, "\x00\n", "is not a user name"),
    "has a bad name": ({}, "ann\nBob\n../cem\n", "'Bob' is not a user name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_list_that_is_wrong_refuses_the_request_and_takes_nobody_out(
    site: Site, what: str
) -> None:
    named, text, said = WRONG[what]
    site.request(listed(site, ["dan"]))
    site.request(listed(site, [], text=text, named=named))
    assert the_last(site).state == "refused"
    assert said in why(the_last(site))
    assert members(site) == {"dan"}


def test_every_bad_name_is_told_with_its_line(site: Site) -> None:
    site.request(listed(site, [], text="ann\nBob\n\n../cem\n"))
    keys = [problem["key"] for problem in the_last(site).problems or ()]
    assert keys == ["users_file line 2", "users_file line 4"]


def test_a_list_beside_users_is_refused(site: Site) -> None:
    site.request(listed(site, ["ann"], users=["bob"]))
    assert "is beside `users`" in why(the_last(site))
    assert not members(site)


def test_a_list_of_somebody_else_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path, RULES)
    refused = send(site, PORTAL, listed(site, ["ann"]))
    assert "1.users is " in why(refused)


def test_a_list_is_not_read_for_who_may_not_ask(tmp_path: Path) -> None:
    site = Site(tmp_path, RULES)
    refused = send(site, STRANGER, listed(site, ["ann"]))
    assert "may not ask for" in why(refused)
    assert (site.spool.staging / "1.users").exists()


def test_a_request_that_comes_again_is_answered_though_its_list_is_gone(site: Site) -> None:
    text = listed(site, ["ann"], head={"id": "p-1"})
    site.request(text)
    site.request(text)
    assert the_last(site).state == "done"
    assert "the same request as" in why(the_last(site))
    assert members(site) == {"ann"}


def test_a_kill_before_the_acceptance_loses_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Acceptance, "admit", die)
        with pytest.raises(Killed):
            site.drop(listed(site, ["ann", "bob"]))
    site.start()
    site.take()
    site.drain()
    assert members(site) == {"ann", "bob"}


def test_later_steps_know_the_users_after_a_restart(site: Site) -> None:
    site.first.away = True
    site.request(listed(site, ["ann", "bob"]))
    site.start()
    site.back(site.first)
    assert members(site) == {"ann", "bob"}


@pytest.mark.parametrize("verb", ["request.release", "request.retry"])
def test_a_request_goes_on_with_its_users(site: Site, verb: str) -> None:
    site.first.away = True
    site.request(listed(site, ["ann", "bob"], head={"not_before": "2999-01-01T00:00:00Z"}))
    with site.system.journal.reading() as conn:
        last = RequestId(request_rows.last_id(conn))
        first = request_rows.load(conn, [last])[last]
    site.request(
        control("request.hold" if verb.endswith("release") else "request.cancel", first.id)
    )
    site.start()
    site.request(release(first) if verb.endswith("release") else control(verb, first.id))
    with site.system.journal.reading() as conn:
        again = request_rows.load(conn, [first.id])[first.id]
    assert again.listed == "ann\nbob"
    assert crowds.whole(again.body, again.listed).users == ("ann", "bob")
    assert again.state == "scheduled"


def test_a_line_of_a_manifest_names_no_file(site: Site) -> None:
    site.request(listed(site, ["ann"]))
    line = listed(site, ["bob"]).encode()
    drop_companion(site.spool.staging, "m.jsonl", line)
    named = {"file": "m.jsonl", "size": len(line), "sha256": hashlib.sha256(line).hexdigest()}
    site.request(json.dumps({"provisioner": 1, "action": "reconcile", "manifest": named}))
    while site.service.house.portions.step():
        pass
    site.drain()
    assert "a line of a manifest cannot name a file" in why(the_last(site))
    assert members(site) == {"ann"}


def test_a_request_whose_list_is_lost_is_bound_to_nobody(site: Site) -> None:
    site.request(listed(site, ["ann"]))
    with pytest.raises(InvalidRequest, match="were not read"):
        site.system.router.route(parse_request(the_last(site).body))


@pytest.mark.sqlite
def test_the_journal_is_whole_with_a_list(site: Site) -> None:
    site.request(listed(site, ["ann", "bob"]))
    site.request(allocation(2, "cem", code="cg"))
    assert cells.wrong(site.file, VERSION) == ""


@pytest.mark.sqlite
def test_a_copy_and_the_log_have_the_list(site: Site, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    backup.copy_to(site.file, copy)
    site.request(listed(site, ["ann", "bob"]))
    assert replayed(copy, site.config.backup_directory) == dump(site.file)


# The command line: the list lies beside the request.


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk") / "site")


def beside(desk: Desk, number: int, text: str) -> str:
    """Write a list, and the request that names it, into the writer's own folder."""
    name = f"{number}.users"
    desk.file(name, text)
    body = request(name, text.encode(), id=str(number), resource="cluster-a")
    return desk.file(f"{number}.json", body)


def test_check_and_plan_read_the_list_beside_the_request(desk: Desk) -> None:
    file = beside(desk, 1, "jdoe\n")
    assert "this request is correct" in desk("check", file).out
    planned = desk("plan", file, "--json", code=None).out
    assert "jdoe" in planned


def test_check_tells_a_wrong_name_with_its_line(desk: Desk) -> None:
    found = desk("check", beside(desk, 2, "jdoe\nBob\n"), code=None)
    assert found.code != 0
    assert "users_file line 2" in found.out


@pytest.mark.parametrize("verb", ["check", "plan", "submit"])
def test_a_list_that_is_not_there_is_told_before_anything_is_sent(desk: Desk, verb: str) -> None:
    file = beside(desk, 3, "jdoe\n")
    (desk.root / "3.users").unlink()
    found = desk(verb, file, code=None)
    assert found.code != 0
    assert "3.users" in found.out + found.err
    assert not list((desk.root / "spool/staging").iterdir())


def test_check_tells_that_the_list_is_another_one(desk: Desk) -> None:
    file = beside(desk, 6, "jdoe\n")
    desk.file("6.users", "eve2\n")
    assert "is not what the request says" in desk("check", file, code=None).out


def test_show_lists_the_users(desk: Desk) -> None:
    desk("submit", beside(desk, 7, "jdoe\n"))
    desk("run", "--drain", "--patience", "1", code=None)
    assert desk.show("7.json")["users"] == ["jdoe"]
    assert "# for 1 user;" in desk("show", "7.json").out


def test_submit_drops_the_list_before_the_request(desk: Desk) -> None:
    desk("submit", beside(desk, 4, "jdoe\n"))
    assert {path.name for path in (desk.root / "spool/staging").iterdir()} == {"4.users", "4.json"}
    desk("run", "--drain", "--patience", "2", code=None)
    [newest] = desk("queue", "--ended", "1", "--json").json["ended"] or [{"state": "open"}]
    assert newest["state"] != "refused"
    assert not list((desk.root / "spool/staging").iterdir())


def test_submit_gives_the_list_another_name_if_somebody_else_took_its_name(desk: Desk) -> None:
    staging = desk.root / "spool/staging"
    for number, squat in ((8, Path.touch), (9, Path.mkdir)):
        file = beside(desk, number, "jdoe\n")
        taken = staging / f"{number}.users"
        squat(taken)
        os.chown(taken, 4711, 4711)
        assert "taken by uid-4711" in desk("submit", file).err
        assert f'"file": "{number}.users"' in Path(file).read_text()
        desk("run", "--drain", "--patience", "1", code=None)
        assert desk.show(f"{number}.json")["users"] == ["jdoe"]
        assert [path.name for path in staging.iterdir()] == [taken.name]
        taken.rmdir() if squat is Path.mkdir else taken.unlink()


def test_a_request_that_names_its_list_twice_is_not_rewritten(desk: Desk) -> None:
    file = beside(desk, 10, "jdoe\n")
    twice = Path(file).read_text().replace("{", '{"reason": "10.users", ', 1)
    Path(file).write_text(twice)
    taken = desk.root / "spool/staging/10.users"
    taken.touch()
    os.chown(taken, 4711, 4711)
    found = desk("submit", file, code=None)
    assert "in staging already" in found.out + found.err
    assert [path.name for path in taken.parent.iterdir()] == [taken.name]
    taken.unlink()


def test_submit_refuses_a_list_whose_name_is_taken(desk: Desk) -> None:
    file = beside(desk, 5, "jdoe\n")
    staging = desk.root / "spool/staging"
    (staging / "5.users").write_text("eve\n")
    found = desk("submit", file, code=None)
    assert "in staging already" in found.out + found.err
    assert [path.name for path in staging.iterdir()] == ["5.users"]
    (staging / "5.users").unlink()
