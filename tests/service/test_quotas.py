"""Quotas that fill: who is told, how often, and what an operator sees."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import closing
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provisioner.config import schema
from provisioner.journal.journal import Journal
from provisioner.journal.records import object_rows
from provisioner.journal.schema import quota_days
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import build
from tests.support.cli_site import Desk, of_user, sample, served, storage, user

DAY = 86400.0
TIB = 2**30  # in KiB


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A sandbox in which all samples were served; fs1/fileset/cf0003 has 5 TiB."""
    made = served(tmp_path / "site")
    for path in (made.root / "mail").iterdir():
        path.unlink()
    return made


def use(desk: Desk, percent: float, **more: str) -> None:
    """Let the project use some of its space."""
    used = {"blockUsage": str(int(5 * TIB * percent / 100)), **more}
    path = desk.root / "gpfs/faults.json"
    path.write_text(json.dumps({"usage": {"cf0003": used}}))


def look(desk: Desk, now: float) -> list[Message]:
    """Read use once, and send what is due; return all mails of quotas so far, oldest first."""
    system = build(schema.load(desk.config))
    with closing(Spool.open(system.config.spool)) as spool:
        service = Service(system, spool)
        service.recover()
        service.house.quotas.look(now)
        service.house.courier.work()
        service.house.courier.stop()
    system.journal.close()
    files = sorted((desk.root / "mail").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    mails = [message_from_bytes(path.read_bytes()) for path in files]
    return [mail for mail in mails if "space" in str(mail["Subject"])]


def test_the_leader_is_told_once_that_a_quota_fills(desk: Desk) -> None:
    now = time.time()
    use(desk, 79)
    assert look(desk, now) == []
    for days, percent in enumerate((91, 89, 92, 88, 90), 1):
        use(desk, percent)
        mails = look(desk, now + days * DAY)
        assert len(mails) == 1
    [mail] = mails
    assert mail["To"] == "jdoe@campus.test"
    assert mail["Subject"] == "CF0003: 91 % of space is used"
    text = body(mail)
    assert "Used:          4.5 TiB (91 %)" in text
    assert "Limit:         5 TiB" in text


def test_a_clock_that_jumps_ahead_and_back_leaves_the_trend_as_it_was(desk: Desk) -> None:
    now, kept = time.time(), []
    for at in (now - DAY, now, now + 500 * DAY, now):
        use(desk, 50)
        look(desk, at)
        with (
            closing(Journal.open(desk.root / "journal/journal.db")) as book,
            book.reading() as conn,
        ):
            kept.append(sorted(conn.scalars(select(quota_days.c.day).distinct())))
    today = int(now // DAY)
    assert kept[1] == kept[3] == [today - 1, today]
    assert kept[2] == [today - 1, today, today + 500]


def body(mail: Message) -> str:
    part = next(one for one in mail.walk() if one.get_content_type() == "text/plain")
    return bytes(part.get_payload(decode=True)).decode()


MANAGED = "project: {code: CF0003, title: Protein folding, pi: jdoe, managers: [asmith]}"


def test_managers_are_told_beside_the_leader(desk: Desk) -> None:
    text = Path(sample("storage.yaml")).read_text()
    line = next(line for line in text.splitlines() if "project:" in line)
    desk.serve(desk.file("managed.yaml", text.replace(line, f"  {MANAGED}")))
    use(desk, 91)
    assert sorted(mail["To"] for mail in look(desk, time.time())) == [
        "asmith@campus.test",
        "jdoe@campus.test",
    ]
    [space] = quotas(desk, "CF0003", what="space")
    assert (space["person"], space["managers"]) == ("jdoe", ["asmith"])


def test_a_newer_request_for_the_project_says_who_manages_it(desk: Desk) -> None:
    desk.serve(
        desk.file(
            "project.yaml",
            "provisioner: 1\naction: project.provision\n"
            "project: {code: CF0003, pi: asmith, managers: [jdoe], users: [jdoe, asmith]}\n",
        )
    )
    [space] = quotas(desk, "CF0003", what="space")
    assert (space["person"], space["managers"]) == ("asmith", ["jdoe"])


def test_each_threshold_and_the_limit_are_told(desk: Desk) -> None:
    now = time.time()
    for days, percent in enumerate((80, 90, 95, 100)):
        use(desk, percent)
        mails = look(desk, now + days * DAY)
    assert [mail["Subject"] for mail in mails] == [
        "CF0003: 80 % of space is used",
        "CF0003: 90 % of space is used",
        "CF0003: 95 % of space is used",
        "CF0003: space is full",
    ]


def test_a_quota_that_was_emptied_and_fills_again_is_told_again(desk: Desk) -> None:
    now = time.time()
    for days, percent in enumerate((91, 20, 91)):
        use(desk, percent)
        mails = look(desk, now + days * DAY)
    assert len(mails) == 2


def test_an_event_that_the_site_does_not_tell_is_not_told(desk: Desk) -> None:
    desk.set("notify:\n", "notify:\n  events: [account_ready]\n")
    use(desk, 99)
    assert look(desk, time.time()) == []


def test_the_command_shows_bars_the_fullest_first(desk: Desk) -> None:
    use(desk, 52, filesUsage="1900000", blockInDoubt="163840")
    files, space, _ = desk("quota").out.splitlines()
    assert files.startswith("fs1/fileset/cf0003 CF0003  files  [###################-]   95 %")
    assert "1,900,000 of 2,000,000" in files
    assert "[##########----------]   52 %  2.6 TiB of 5 TiB, 160 MiB in doubt" in space


def test_the_command_says_when_it_will_be_full(desk: Desk) -> None:
    now = time.time() - 4 * DAY
    for days, percent in enumerate((10, 20, 30, 40)):
        use(desk, percent)
        look(desk, now + days * DAY)
    assert "full in about 6 days" in desk("quota").out
    [space] = quotas(desk, "jdoe", what="space")
    assert space["full_in_days"] == pytest.approx(6.0, abs=0.1)


def quotas(desk: Desk, *subjects: str, what: str) -> list[Any]:
    shown = desk("quota", *subjects, "--json").json["quotas"]
    return [one for one in shown if one["what"] == what]


@pytest.mark.parametrize(
    "name", ["CF0003", "cf0003", "allocation:41", "jdoe", "fs1/fileset/cf0003"]
)
def test_the_command_takes_any_name_of_what_it_is_about(desk: Desk, name: str) -> None:
    [space] = quotas(desk, name, what="space")
    assert (space["object"], space["subjects"]) == ("fs1/fileset/cf0003", ["allocation:41"])


def test_a_name_that_nothing_has_shows_nothing(desk: Desk) -> None:
    assert desk("quota", "nobody").out == "nothing has a quota there\n"


def test_a_file_system_that_does_not_answer_is_named(desk: Desk) -> None:
    (desk.root / "gpfs/faults.json").write_text('{"quotas": "off"}')
    shown = desk("quota", code=1)
    assert "fs1 could not be asked" in shown.out


def homes(desk: Desk, **users: dict[str, str]) -> None:
    """Let the homes lie in the file system, and its users use some of their quotas."""
    desk.set("use: home_directory\n", "use: home_directory\n    quotas: fs1\n")
    system = build(schema.load(desk.config))
    with system.journal.reading() as conn:
        states = object_rows.states(conn, [f"homes/home/{name}" for name in users])
    system.journal.close()
    rows = {str(states[f"homes/home/{name}"]["uid"]): row for name, row in users.items()}
    (desk.root / "gpfs/faults.json").write_text(json.dumps({"users": rows}))


GIB = 2**20  # in KiB


def of(percent: int) -> dict[str, str]:
    """Return use of a quota of 50 GiB."""
    return {"blockUsage": str(GIB * percent // 2), "blockQuota": str(50 * GIB)}


def test_a_user_is_told_that_the_own_home_fills_once(desk: Desk) -> None:
    now = time.time()
    homes(desk, asmith=of(91), jdoe=of(20))
    for days in range(3):
        mails = look(desk, now + days * DAY)
        assert len(mails) == 1
    [mail] = mails
    assert mail["To"] == "asmith@campus.test"
    path = desk.root / "home/asmith"
    subject = str(make_header(decode_header(mail["Subject"])))
    assert subject == f"{path}: 91 % of space is used"
    assert f"{path} is nearly full." in body(mail)


def test_homes_are_shown_beside_filesets(desk: Desk) -> None:
    homes(desk, asmith=of(91), jdoe=of(20))
    shown = [line.split()[:2] for line in desk("quota").out.splitlines()]
    assert shown[:2] == [["homes/home/asmith", "space"], ["homes/home/jdoe", "space"]]
    [space] = quotas(desk, "asmith", what="space")
    assert (space["person"], space["path"]) == ("asmith", str(desk.root / "home/asmith"))


def test_what_has_no_limit_is_shown_last_and_only_if_asked_for(desk: Desk) -> None:
    homes(desk, asmith={"blockUsage": str(GIB)})
    assert "homes/home/asmith" not in desk("quota").out
    assert "1 GiB (no limit)" in desk("quota", "asmith").out
    assert "homes/home/asmith" in desk("quota", "--all").out.splitlines()[-1]


def test_a_closed_home_warns_nobody(desk: Desk) -> None:
    homes(desk, asmith=of(91))
    desk.serve(of_user("suspend", "asmith"))
    assert quotas(desk, "asmith", what="space") == []


def test_a_home_that_is_another_persons_says_nothing_of_who_asked_for_it(desk: Desk) -> None:
    homes(desk, asmith=of(20))
    taken = desk.root / "home/bob"
    taken.mkdir(mode=0o700)
    status, [owners] = taken.stat(), desk.root.rglob("owners.jsonl")
    note = [f"{status.st_dev}:{status.st_ino}", {"uid": 29999, "gid": 29999}]
    with owners.open("a") as file:
        file.write(f"\n{json.dumps(note)}\n")
    rows = json.loads((desk.root / "gpfs/faults.json").read_text())["users"]
    rows["29999"] = of(91)
    (desk.root / "gpfs/faults.json").write_text(json.dumps({"users": rows}))
    desk.serve(user("bob"))
    assert "belongs to 29999" in desk("status", "bob", code=None).out
    assert quotas(desk, "bob", what="space") == []


def test_a_fileset_that_is_not_ours_says_nothing_of_who_asked_for_it(desk: Desk) -> None:
    made = subprocess.run([desk.root / "gpfs/bin/mmcrfileset", "fs1", "cf9"], check=True)
    assert made.returncode == 0
    desk.serve(storage("CF9"))
    assert quotas(desk, "CF0003", what="space") != []
    assert quotas(desk, "fs1/fileset/cf9", what="space") == []


def test_homes_whose_users_nobody_counts_are_named(desk: Desk) -> None:
    assert desk("quota").out.splitlines()[-1].startswith("homes: quotas of its users are not read")
    assert desk("quota", "--json").json["uncounted"] == ["homes"]


def test_homes_in_a_file_system_that_there_is_not_are_told_by_config_check(desk: Desk) -> None:
    desk.set("use: home_directory\n", "use: home_directory\n    quotas: fs2\n")
    told = desk("config", "check", code=None)
    assert told.code != 0
    assert "'fs2' is not a handler that reads quotas of users" in told.err
    assert "fs1" in told.err


def test_thresholds_out_of_order_are_told_by_config_check(desk: Desk) -> None:
    desk.set("service: sandbox\n", "service: sandbox\nquota: {thresholds: [90, 80]}\n")
    told = desk("config", "check", code=None)
    assert told.code != 0
    assert "quota.thresholds" in told.err
    assert "must be in ascending order: 80 is after 90" in told.err


def test_the_program_of_the_site_is_told_as_well(desk: Desk) -> None:
    heard = desk.root / "heard"
    program = desk.root / "hook"
    program.write_text(f"#!/bin/sh\ncat >> {heard}\n")
    program.chmod(0o755)
    desk.set("notify:\n", f"notify:\n  hook: {{program: [{program}]}}\n")
    use(desk, 96)
    look(desk, time.time())
    told = [json.loads(line) for line in heard.read_text().splitlines()]
    [warning] = [one for one in told if one["event"] == "quota_warning"]
    assert warning["quota"]["percent"] == 96
    assert warning["people"] == [{"person": "jdoe", "role": "pi"}]
    assert warning["subject"] == "allocation:41"
