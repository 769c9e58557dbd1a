"""Work that a crash or a full disk prevented after a commit, case by case.

The kill sweep goes through all cases; here each has a name, and its journal and files at hand.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.journal.records import request_rows
from provisioner.objects.states import ENDED
from tests.support.engine_site import Site, allocation, control


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def crash(site: Site) -> None:
    """End the service without any of its remaining work, and start another."""
    site.spool.close()
    site.system.journal.close()
    site.start()


def place(site: Site, name: str) -> list[str]:
    """Return the files in a place, except results."""
    found = (site.config.spool / name).iterdir()
    return sorted(path.name for path in found if not path.name.endswith(".result.yaml"))


def later(number: int, when: str) -> str:
    return allocation(number, "ann", head=f"not_before: {when}\n")


def test_a_scheduled_request_lies_in_deferred_until_its_time(site: Site) -> None:
    site.drop(later(1, "2099-01-01T00:00:00Z"))
    assert [len(place(site, name)) for name in ("active", "deferred")] == [0, 1]


def test_a_scheduled_request_comes_in_its_time_behind_a_thousand_later_ones(site: Site) -> None:
    for number in range(1001):
        file = site.spool.staging / f"{number}.yaml"
        file.write_text(later(number + 10, "2099-01-01T00:00:00Z"))
        file.chmod(0o600)
    site.take()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    site.drop(later(1, soon.isoformat()), "soon.yaml")
    assert site.service.house.intake.due_later() == []
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    assert len(site.service.house.intake.due_later()) == 1


def test_a_fifo_goes_to_quarantine_though_its_refusal_was_only_recorded(site: Site) -> None:
    os.mkfifo(site.spool.staging / "pipe.yaml", 0o600)
    site.service.take()
    crash(site)
    assert [name[27:] for name in place(site, "quarantine")] == ["pipe.yaml"]
    assert place(site, "active") == place(site, "failed") == []


def test_a_refused_file_goes_through_staging_though_its_retry_was_only_accepted(
    site: Site,
) -> None:
    site.request("provisioner: 1\naction: user.provison\n", "wrong.yaml")
    [refused] = place(site, "failed")
    site.spool.staging.joinpath("retry.yaml").write_text(control("request.retry", refused[:26]))
    site.spool.staging.joinpath("retry.yaml").chmod(0o600)
    site.service.take()
    crash(site)
    assert [path.name for path in site.spool.staging.iterdir()] == ["wrong.yaml"]
    assert place(site, "failed") == []
    site.take()
    [again] = place(site, "failed")
    assert again[:26] != refused[:26] and again.endswith("wrong.yaml")


def test_a_request_that_was_tried_again_and_is_done_leaves_failed(site: Site) -> None:
    site.first.poison.add("cf")
    site.request(allocation(1), "a.yaml")
    [failed] = place(site, "failed")
    site.first.poison.clear()
    site.spool.staging.joinpath("retry.yaml").write_text(control("request.retry", failed[:26]))
    site.spool.staging.joinpath("retry.yaml").chmod(0o600)
    # All is over before the clerk comes to it.
    site.service.take()
    for lane in site.service.lanes.values():
        while lane.drain():
            pass
    site.service.clerk.catch_up()
    assert failed in place(site, "done")
    assert list((site.config.spool / "failed").iterdir()) == []


def test_a_file_that_could_not_be_moved_is_moved_when_the_disk_lets_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        site.request(allocation(1), "a.yaml")
        assert len(place(site, "active")) == 1
    assert site.service.clerk.busy
    site.service.clerk.catch_up()
    assert [name[27:] for name in place(site, "done")] == ["a.yaml"]


def test_a_file_that_cannot_be_set_aside_keeps_nobody_from_being_accepted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(site.spool.staging / "pipe.yaml", 0o600)
    file = site.spool.staging / "a.yaml"
    file.write_text(allocation(1))
    file.chmod(0o600)

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "rename", full)
    site.service.take()
    monkeypatch.undo()
    assert [record.name for record in site.open()] == ["a.yaml"]


def undo_taking(site: Site, name: str) -> None:
    """Put a file back into staging as a power cut does: without a trace that it was taken."""
    [entry] = place(site, "done")
    path = site.config.spool / "done" / entry
    path.with_name(f"{entry}.result.yaml").unlink()
    path.rename(site.spool.staging / name)


def requests(site: Site) -> list[str]:
    with site.system.journal.reading() as conn:
        return sorted(record.name for record in request_rows.in_states(conn, ENDED))


def test_a_file_whose_taking_a_power_cut_undid_is_no_second_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The move that stands for the cut changes the file's status; a real one would not.
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 60)
        site.request(allocation(1, "ann"), "a.yaml")
    undo_taking(site, "a.yaml")
    crash(site)
    site.take()
    site.drain()
    assert requests(site) == ["a.yaml"]
    assert [name[27:] for name in place(site, "done")] == ["a.yaml"]
    assert [result["outcome"] for result in site.results("done")] == ["done"]


@pytest.mark.parametrize("text", [allocation(1, "ann"), allocation(1, "ann, bob")])
def test_a_file_that_an_admin_put_back_while_nobody_served_is_a_new_request(
    site: Site, text: str
) -> None:
    site.request(allocation(1, "ann"), "a.yaml")
    [entry] = place(site, "done")
    (site.config.spool / "done" / entry).write_text(text)
    undo_taking(site, "a.yaml")
    crash(site)
    site.take()
    site.drain()
    assert requests(site) == ["a.yaml", "a.yaml"]


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("")])
def test_a_result_or_receipt_that_was_not_flushed_is_written_again(
    site: Site, harm: Callable[[Path], object]
) -> None:
    head = "id: mine\n"
    site.request(allocation(1, "ann", head=head), "a.yaml")
    [result] = (site.config.spool / "done").glob("*.result.yaml")
    [receipt] = (site.config.spool / "receipts").glob("*/mine.yaml")
    texts = result.read_text(), receipt.read_text()
    harm(result)
    harm(receipt)
    crash(site)
    assert (result.read_text(), receipt.read_text()) == texts


def test_a_result_that_is_written_again_leaves_the_receipt_of_a_newer_try(site: Site) -> None:
    site.first.poison.add("cf")
    site.request(allocation(1, head="id: mine\n"), "a.yaml")
    site.first.poison.clear()
    site.request(allocation(1, "ann", head="id: mine\n"), "b.yaml")
    [result] = (site.config.spool / "done").glob("*-a.yaml.result.yaml")
    [receipt] = (site.config.spool / "receipts").glob("*/mine.yaml")
    text = receipt.read_text()
    result.write_text("")
    crash(site)
    assert "outcome: failed" in result.read_text()
    assert receipt.read_text() == text and "state: done" in text


def test_a_refused_file_that_is_tried_again_leaves_nothing_behind(site: Site) -> None:
    site.request("provisioner: 1\naction: user.provison\n", "wrong.yaml")
    [refused] = place(site, "failed")
    site.request(control("request.retry", refused[:26]), "retry.yaml")
    crash(site)
    assert not list((site.config.spool / "failed").glob(f"{refused[:26]}*"))


def test_a_file_named_as_a_result_is_not_lost_and_not_taken(site: Site) -> None:
    file = site.spool.staging / "x.result.yaml"
    file.write_text(allocation(1, "ann"))
    file.chmod(0o600)
    assert site.spool.take("x.result.yaml") is not None
    crash(site)
    assert [path.name for path in site.spool.staging.iterdir()] == ["x.result.yaml"]
    site.take()
    assert [path.name for path in site.spool.staging.iterdir()] == ["x.result.yaml"]


def fixed(site: Site) -> str:
    """Have a request fail and another one put it right, in the journal only; return its entry."""
    site.first.poison.add("cf")
    site.request(allocation(1, "ann"), "first.yaml")
    [entry] = place(site, "failed")
    site.first.poison.clear()
    site.drop(allocation(1, "ann"), "second.yaml")
    for lane in site.service.lanes.values():
        while lane.drain():
            pass
    return entry


def test_what_was_put_right_leaves_failed_at_the_next_start(site: Site) -> None:
    entry = fixed(site)
    assert place(site, "failed") == [entry]
    crash(site)
    assert place(site, "failed") == []
    assert entry in place(site, "done")
    assert not list((site.config.spool / "failed").iterdir())
    [result] = (site.config.spool / "done").glob(f"{entry}.result.yaml")
    assert "put it right" in result.read_text()
