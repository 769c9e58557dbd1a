"""What the service tells whoever reads its log: that it serves, and what became of each request."""

from __future__ import annotations

import logging
import re
import subprocess
import time
from pathlib import Path

import pytest

from provisioner.cli import site as command_line
from provisioner.journal import audit
from provisioner.system.ulid import RequestId
from tests.support.cli_site import PROGRAM, Desk, sample
from tests.support.engine_site import Site, allocation, control, user


@pytest.fixture
def site(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Site:
    """Give a running site whose log is kept."""
    caplog.set_level(logging.INFO, "provisioner")
    return Site(tmp_path)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the lines on outcomes, without ids and times."""
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("filing")]
    return [re.sub(r"[0-9A-Z]{26}", "ID", re.sub(r"\d+\.\d\d s", "0 s", one)) for one in lines]


def test_every_outcome_is_one_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.request(user("ann", uid=7))
    site.first.poison = {"bob"}
    site.request(user("bob", uid=8))
    site.request(allocation(1).replace("resource: one", "resource: onne"))
    site.request("provisioner: 1\naction: user.provison\nuser: {name: eve}\n", "wrong.yaml")
    assert told(caplog) == [
        "ID user.provision user:ann of root: done in 0 s",
        "ID user.provision user:bob of root: failed in 0 s: step early: poisoned",
        "ID allocation.provision allocation:1 of root: refused in 0 s: line 5: "
        "allocation.resource: there is no resource 'onne'; expected one of one, two; "
        "did you mean 'one'?",
        "ID wrong.yaml of root: refused in 0 s: line 2: action: 'user.provison' is not an action; "
        + told(caplog)[3].partition("is not an action; ")[2],
    ]


def test_a_receipt_that_cannot_be_written_is_told_once_without_a_traceback_until_it_is_there(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    receipts = site.spool.receipts
    (receipts / "root").write_text("in the way")
    site.drop(user("ann", uid=7))
    for _ in range(3):
        site.service.clerk.catch_up()
    [line] = told(caplog)
    assert line.startswith("ID: its file could not be put in place: [Errno 20] Not a directory")
    assert not any(record.exc_info for record in caplog.records)
    (receipts / "root").unlink()
    site.service.clerk.catch_up()
    [request] = site.open()
    assert (receipts / "root" / f"{request.id}.yaml").exists()


def test_a_refused_file_that_cannot_go_back_to_staging_is_told_once_and_goes_back_later(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.request(user("ann").replace("user:", "usr:"), "wrong.yaml")
    [result] = (site.config.spool / "failed").glob("*.result.yaml")
    name = result.name.removesuffix(".result.yaml")
    kept = result.rename(site.root / "result")
    result.mkdir()
    refused = RequestId(name[:26])
    with site.system.journal.transaction() as conn:
        audit.append(conn, [audit.Event(refused, "resubmitted", "by root")], time.time())
    site.service.clerk.resubmit(refused)
    for _ in range(3):
        site.service.clerk.catch_up()
    assert [line for line in told(caplog) if "could not be put in place" in line] == [
        "ID: its file could not be put in place: [Errno 21] Is a directory: "
        "'ID-wrong.yaml.result.yaml'; trying again"
    ]
    assert not any(record.exc_info for record in caplog.records)
    result.rmdir()
    kept.rename(result)
    site.service.clerk.catch_up()
    assert (site.spool.staging / "wrong.yaml").exists()


def test_a_file_that_cannot_be_put_in_its_place_is_told_once_until_it_is_there(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.drop(user("ann", uid=7))
    [request] = site.open()
    in_its_way = site.config.spool / "done" / f"{request.id}-r.yaml"
    in_its_way.mkdir()
    site.drain()
    for _ in range(3):
        site.service.clerk.catch_up()
    [line] = told(caplog)
    assert line.startswith("ID: its file could not be put in place: [Errno 21] Is a directory")
    in_its_way.rmdir()
    site.service.clerk.catch_up()
    assert told(caplog)[1:] == ["ID user.provision user:ann of root: done in 0 s"]


def test_what_was_cancelled_and_tried_again_is_told_twice(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.first.away = True
    site.request(user("ann", uid=7))
    who = site.open()[0].id
    site.request(control("request.cancel", who))
    site.back(site.first)
    site.request(control("request.retry", who))
    ends = [line.rpartition(" of root: ")[2] for line in told(caplog) if "user:ann" in line]
    assert ends == ["cancelled in 0 s", "done in 0 s"]


def test_nothing_of_a_file_makes_a_line_of_its_own(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.drop('provisioner: 1\naction: "x\\nERROR all is lost\\e[2J"\n', "wrong.yaml")
    [line] = told(caplog)
    assert line.isprintable()


def test_nothing_is_made_of_what_nobody_reads(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "provisioner")
    site.request(user("ann", uid=7))
    assert told(caplog) == []


@pytest.mark.parametrize(("option", "lines"), [((), 3), (("--quiet",), 0)], ids=["said", "quiet"])
def test_the_service_says_what_it_serves_and_when_it_stops(
    tmp_path: Path, option: tuple[str, ...], lines: int
) -> None:
    desk = Desk(tmp_path / "site")
    log = tmp_path / "log"
    with log.open("w") as file:
        words = [*PROGRAM, "run", *option]
        with subprocess.Popen(words, env=desk._env(), stderr=file) as process:
            while command_line.served_by(desk.spool) != process.pid:
                assert process.poll() is None, log.read_text()
                time.sleep(0.02)
            desk("submit", sample("user-jdoe.yaml"), "--wait")
            process.terminate()
    whole = log.read_text()
    assert "audit head 0:" not in whole  # a new journal has no event that could be rewritten
    found = [line for line in whole.splitlines() if "audit head" not in line]
    assert len(found) == lines, found
    if found:
        begun, outcome, ended = found
        assert re.match(r"INFO provisioner \S+ serves sandbox: spool /\S+, journal /\S+, ", begun)
        assert begun.endswith("; writing")
        assert re.search(r"lanes .*slurm", begun)
        assert re.search(r"user\.provision user:jdoe of \S+: done in \d+\.\d\d s$", outcome)
        assert ended.startswith("INFO stopped")
