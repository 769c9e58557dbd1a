"""What a writer leaves behind without a right to ask is bounded; of who may ask nothing goes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from provisioner.config.schema import load
from provisioner.journal import audit
from provisioner.journal.persons import beforehand
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.journal.schema import events, requests, suspensions
from provisioner.objects.states import ENDED, OPEN
from provisioner.outcome import outsiders
from provisioner.outcome.outsiders import EVENT
from tests.support.engine_site import Site, allocation, control, user
from tests.support.policy_site import put, send, why

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others"),
]

PORTAL, STRANGER, OTHER = 4711, 4714, 4716
RULES = """\
retention: {outsider_count: 3}
policy:
  rules:
  - {who: [uid-4711], actions: [user.provision, user.suspend, user.resume]}
"""

FORBIDDEN = user("jdoe")
NO_YAML = "a: [\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, RULES)


def prune(site: Site) -> int:
    assert site.service.keeper.outsiders is not None
    return sum(site.service.keeper.outsiders.portions())


def rows(site: Site) -> list[Record]:
    with site.system.journal.reading() as conn:
        assert audit.verify(conn).problem == ""
        return request_rows.in_states(conn, (*OPEN, *ENDED))


def names(site: Site) -> list[str]:
    return [record.name for record in rows(site)]


def lying(site: Site, place: str) -> list[str]:
    """List the files and results in a place, by the names that their writers gave."""
    return sorted(path.name.split("-", 1)[-1] for path in (site.config.spool / place).iterdir())


def receipts(site: Site, writer: str) -> int:
    home = site.config.spool / "receipts" / writer
    return len(list(home.iterdir())) if home.exists() else 0


def dropped(site: Site, uid: int, *texts: str) -> None:
    for number, text in enumerate(texts):
        put(site, uid, text, f"{number}.yaml")
        site.take()
    site.drain()


@pytest.mark.parametrize("text", [FORBIDDEN, NO_YAML, "", "a: 1\n" * 2000])
def test_no_body_of_an_outsiders_request_is_kept(site: Site, text: str) -> None:
    refused = send(site, STRANGER, text)
    assert (refused.state, refused.body) == ("refused", b"")
    assert 0 < len(refused.problems or ()) <= outsiders.PROBLEMS
    assert rows(site) == [refused]
    [result] = site.results("failed")
    assert result["outcome"] == "refused"


@pytest.mark.parametrize("text", [FORBIDDEN, NO_YAML, ""])
def test_of_an_outsiders_files_the_newest_stay(site: Site, text: str) -> None:
    dropped(site, STRANGER, *[text] * 5)
    assert receipts(site, "uid-4714") == 5
    assert prune(site) == 2
    kept = ["2.yaml", "3.yaml", "4.yaml"]
    assert names(site) == kept
    assert lying(site, "failed") == sorted([*kept, *(f"{name}.result.yaml" for name in kept)])
    assert receipts(site, "uid-4714") == 3
    assert prune(site) == 0


def test_what_went_is_told_once_with_how_many(site: Site) -> None:
    dropped(site, STRANGER, *[FORBIDDEN] * 5)
    prune(site)
    with site.system.journal.reading() as conn:
        [text] = conn.scalars(select(events.c.text).where(events.c.kind == EVENT))
    assert text.startswith("2 refused files of uid-4714, who may ask for nothing, were removed")


def told(site: Site, *kinds: str) -> list[str]:
    with site.system.journal.reading() as conn:
        return list(conn.scalars(select(events.c.text).where(events.c.kind.in_(kinds))))


@pytest.mark.parametrize("text", [FORBIDDEN, NO_YAML, ""])
def test_the_trail_grows_by_days_and_not_by_an_outsiders_files(site: Site, text: str) -> None:
    dropped(site, STRANGER, *[text] * 4)
    prune(site)
    after_some = len(told(site, "refused", "alarm", EVENT))
    for number in range(12):
        link(site.spool.staging / f"l{number}.yaml")
        os.chown(site.spool.staging / f"l{number}.yaml", STRANGER, -1, follow_symlinks=False)
    dropped(site, STRANGER, *[text] * 12)
    prune(site)
    assert len(told(site, "refused", "alarm", EVENT)) == after_some
    assert len(rows(site)) == 3, "and the chain still fits the rows"


def test_each_outsider_is_told_of_and_the_next_day_says_how_many_came_between(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(site, STRANGER, *[FORBIDDEN] * 3)
    dropped(site, OTHER, *[FORBIDDEN] * 2)
    assert len(told(site, "refused")) == 2
    monkeypatch.setattr(outsiders, "DAY", 0.0)
    dropped(site, STRANGER, FORBIDDEN)
    assert len(told(site, "refused")) == 3
    assert [text.split(",")[0] for text in told(site, EVENT)] == [
        "2 more refused files of uid-4714"
    ]


def test_each_mistake_of_who_may_ask_is_told(site: Site) -> None:
    dropped(site, PORTAL, *[NO_YAML, allocation(1)] * 3)
    assert len(told(site, "refused")) == 6


def aged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what lies in staging be a day old: no writer can set when its status changed."""
    monkeypatch.setattr(outsiders, "_ORPHANED", -60.0)


ORPHANS = ("a{}.users", "b{}.yaml.sig", ".c{}.yaml", "d{}.jsonl", "e{}")


def test_what_outsiders_leave_in_staging_beside_no_request_goes_after_a_day(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uid in (STRANGER, PORTAL):
        for name in ORPHANS:
            put(site, uid, "jdoe\n", name.format(uid))
    link(site.spool.staging / "to-a-file")
    os.chown(site.spool.staging / "to-a-file", STRANGER, -1, follow_symlinks=False)
    lay = lying(site, "staging")
    prune(site)
    assert lying(site, "staging") == lay, "not before"
    aged(site, monkeypatch)
    prune(site)
    left = [path.lstat().st_uid for path in site.spool.staging.iterdir()]
    assert left == [PORTAL] * len(ORPHANS)
    assert Path("/etc/passwd").exists()


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def large(path: Path) -> None:
    path.write_bytes(b"x" * 65537)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("make", "place"), [(link, "quarantine"), (fifo, "quarantine"), (large, "failed")]
)
def test_what_was_set_aside_unread_is_bounded_too(
    site: Site, make: Callable[[Path], None], place: str
) -> None:
    for number in range(5):
        make(site.spool.staging / f"{number}.yaml")
        os.chown(site.spool.staging / f"{number}.yaml", STRANGER, -1, follow_symlinks=False)
        site.take()
    assert prune(site) == 2
    assert len(lying(site, place)) == 6
    assert len(rows(site)) == 3


def test_each_outsider_has_as_many(site: Site) -> None:
    dropped(site, STRANGER, *[FORBIDDEN] * 5)
    dropped(site, OTHER, *[FORBIDDEN] * 3)
    assert prune(site) == 2
    assert [record.uid for record in rows(site)].count(OTHER) == 3


def test_of_who_may_ask_nothing_goes_whatever_was_wrong(site: Site) -> None:
    wrong = [NO_YAML, allocation(1), user("a", "provision").replace("provisioner: 1\n", "")] * 3
    dropped(site, PORTAL, *wrong)
    dropped(site, 0, *wrong)
    assert prune(site) == 0
    assert len(rows(site)) == 18
    assert all(record.body for record in rows(site))


def with_rules(site: Site, old: str, new: str) -> None:
    """Change the configuration and start anew."""
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace(old, new))
    site.spool.close()
    site.system.journal.close()
    site.config = load(path)
    site.start()


def test_what_came_while_its_writer_might_ask_stays(site: Site) -> None:
    dropped(site, PORTAL, *[NO_YAML] * 5)
    with_rules(site, "uid-4711", "uid-4799")
    assert prune(site) == 0
    assert len(rows(site)) == 5


def test_what_an_outsider_left_stays_once_they_may_ask(site: Site) -> None:
    dropped(site, STRANGER, *[FORBIDDEN] * 5)
    with_rules(site, "uid-4711", "uid-4714")
    assert prune(site) == 0
    assert len(rows(site)) == 5


def test_a_receipt_that_a_newer_request_has_as_well_stays(site: Site) -> None:
    dropped(site, STRANGER, *["id: one\n" + FORBIDDEN] * 5)
    assert receipts(site, "uid-4714") == 1
    assert prune(site) == 2
    assert receipts(site, "uid-4714") == 1


def test_a_file_that_is_not_in_its_place_yet_is_left_for_later(site: Site) -> None:
    for number in range(5):
        put(site, STRANGER, FORBIDDEN, f"{number}.yaml")
    site.service.take()
    assert (prune(site), len(rows(site))) == (0, 5)
    site.service.clerk.catch_up()
    assert prune(site) == 2
    assert lying(site, "active") == []


def test_a_body_that_somebody_took_out_of_the_journal_is_seen(site: Site) -> None:
    """That refused requests have none excuses no other."""
    send(site, PORTAL, user("jdoe"))
    with site.system.journal.transaction() as conn:
        conn.execute(update(requests).values(body=b""))
    with site.system.journal.reading() as conn:
        assert "its content is not what was accepted" in audit.verify(conn).problem


def test_the_running_service_removes_it_by_itself(site: Site) -> None:
    thread = threading.Thread(target=site.service.run)
    thread.start()
    try:
        for number in range(40):
            put(site, STRANGER, FORBIDDEN, f"{number}.yaml")
        site.service.wake()
        deadline = time.monotonic() + 60
        while len(lying(site, "failed")) != 6 or lying(site, "staging"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        site.service.stop()
        thread.join()
    assert len(rows(site)) == 3


# What others' requests put right.


def fixed(site: Site) -> list[str]:
    """List the requests that were put right, by the names of their files."""
    return [record.name for record in rows(site) if record.fixed_by is not None]


def told_by_receipts(site: Site, writer: str) -> dict[str, tuple[str, int]]:
    """Return the text of a writer's receipts, and when each was written."""
    home = site.config.spool / "receipts" / writer
    return {path.name: (path.read_text(), path.stat().st_mtime_ns) for path in home.iterdir()}


def test_anothers_request_puts_nothing_right_that_an_outsider_left(site: Site) -> None:
    dropped(site, STRANGER, *[FORBIDDEN + f"reason: {number}\n" for number in range(5)])
    before = told_by_receipts(site, "uid-4714")
    assert send(site, PORTAL, FORBIDDEN, "portals.yaml").state == "done"
    assert (fixed(site), told(site, "fixed")) == ([], [])
    assert told_by_receipts(site, "uid-4714") == before
    assert lying(site, "done") == ["portals.yaml", "portals.yaml.result.yaml"]
    assert prune(site) == 2
    assert len(lying(site, "failed")) == 6


def test_who_may_ask_by_now_puts_right_what_they_left_as_an_outsider(site: Site) -> None:
    dropped(site, STRANGER, FORBIDDEN)
    with_rules(site, "uid-4711", "uid-4714")
    by = send(site, STRANGER, FORBIDDEN, "now.yaml")
    assert fixed(site) == ["0.yaml"]
    [early, _] = sorted(told_by_receipts(site, "uid-4714").items())
    assert f"fixed_by: {by.id}" in early[1][0].replace('"', "")


@pytest.mark.parametrize("end", ["dismissed", "replaced"])
def test_what_an_operator_ended_by_name_stays_under_the_limit(site: Site, end: str) -> None:
    refused = send(site, STRANGER, FORBIDDEN, "0.yaml")
    text = {
        "dismissed": control("request.dismiss", refused.id),
        "replaced": f"replaces: {refused.id}\n{user('cem')}",
    }[end]
    assert send(site, 0, text, "operators.yaml").state == "done"
    assert "0.yaml" in lying(site, "done")
    dropped(site, STRANGER, *[NO_YAML] * 3)
    assert prune(site) == 1
    assert [name for name in lying(site, "done") if not name.startswith("operators")] == []


# Suspensions of whom nobody knows.


def suspended(site: Site) -> int:
    with site.system.journal.reading() as conn:
        return int(conn.scalar(select(func.count()).select_from(suspensions)) or 0)


def test_invented_names_are_suspended_up_to_a_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "MOST", 3)
    for name in ("a", "b", "c"):
        assert send(site, PORTAL, user(name, "suspend")).state == "done"
    again = send(site, PORTAL, user("a", "suspend"))
    one_more = send(site, PORTAL, user("d", "suspend"))
    assert (again.state, one_more.state) == ("done", "failed")
    assert "nobody claims anything for user:d" in why(one_more)
    assert suspended(site) == 3


def test_who_has_something_is_suspended_whatever_was_invented(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "MOST", 1)
    send(site, PORTAL, user("real"))
    assert send(site, PORTAL, user("invented", "suspend")).state == "done"
    assert send(site, PORTAL, user("real", "suspend")).state == "done"
    assert send(site, 0, user("other", "suspend")).state == "done", "each writer has their own"


def test_a_name_that_came_to_be_known_counts_no_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "MOST", 1)
    send(site, PORTAL, user("early", "suspend"))
    assert send(site, PORTAL, user("next", "suspend")).state == "failed"
    send(site, PORTAL, user("early"))
    assert send(site, PORTAL, user("next", "suspend")).state == "done"


def test_causes_of_one_subject_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beforehand, "CAUSES", 2)
    send(site, PORTAL, user("real"))
    states = [
        send(site, PORTAL, user("real", "suspend", cause=cause)).state
        for cause in ("one", "two", "three", "two")
    ]
    assert states == ["done", "done", "failed", "done"]
    send(site, PORTAL, user("real", "resume", cause="one"))
    assert send(site, PORTAL, user("real", "suspend", cause="three")).state == "done"
