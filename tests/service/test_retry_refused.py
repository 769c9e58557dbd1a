"""A refused request is tried again by its file; without one, who asks is told what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, control
from tests.support.manifest_site import POLICY, elsewhere, entry, newest, own, put, reconcile, told

WRONG = b"provisioner: 1\naction: user.provision\nuser: {name: ann, uid: 4294967295}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with a portal."""
    return Site(tmp_path, POLICY)


def refused(site: Site) -> Record:
    """Have a request refused."""
    put(site, "wrong.yaml", WRONG)
    site.take()
    found = newest(site, "wrong.yaml")
    assert found.state == "refused"
    return found


def retry(site: Site, name: str) -> Record:
    """Ask for another try; return what became of the asking."""
    put(site, "retry.yaml", control("request.retry", name).encode())
    site.take()
    return newest(site, "retry.yaml")


def test_one_whose_file_is_there_comes_again(site: Site) -> None:
    before = refused(site)
    assert retry(site, before.id).state == "done"
    assert newest(site, "wrong.yaml").id > before.id


def test_one_whose_file_is_on_its_way_to_its_place_comes_again(site: Site) -> None:
    put(site, "wrong.yaml", WRONG)
    site.service.take()
    before = newest(site, "wrong.yaml")
    assert retry(site, before.id).state == "done"
    assert newest(site, "wrong.yaml").id > before.id


def test_one_whose_file_was_taken_away_is_to_be_sent_anew(site: Site) -> None:
    before = refused(site)
    (site.config.spool / "failed" / f"{before.id}-wrong.yaml").unlink()
    again = retry(site, before.id)
    assert again.state == "failed"
    assert f"{before.id} was refused, and its file is not in failed/" in told(again)
    assert "the manifest or the file, sent again" in str(again.problems)
    assert newest(site, "wrong.yaml").id == before.id


def test_one_that_is_tried_twice_comes_once(site: Site) -> None:
    before = refused(site)
    assert [retry(site, before.id).state for _ in range(2)] == ["done", "failed"]


def test_a_line_of_a_manifest_has_a_file_to_correct_and_comes_again(site: Site) -> None:
    reconcile(site, own(1, elsewhere(1, "ann")), entry(2, "bob"))
    line = newest(site, "all.jsonl-1.json")
    assert line.state == "refused"
    copy = site.config.spool / "failed" / f"{line.id}-{line.name}"
    assert (copy.read_bytes(), copy.stat().st_uid) == (line.body, line.uid)
    assert retry(site, line.id).state == "done"
    assert newest(site, "all.jsonl-1.json").id > line.id


def test_a_copy_that_is_not_its_writers_is_not_judged_as_the_services_request(site: Site) -> None:
    reconcile(site, own(1, elsewhere(1, "ann")))
    line = newest(site, "all.jsonl-1.json")
    os.chown(site.config.spool / "failed" / f"{line.id}-{line.name}", 12345, -1)
    again = retry(site, line.id)
    assert again.state == "failed"
    assert "the service's own copy of a line of a manifest" in told(again)


def test_one_that_was_set_aside_is_moved_back_by_hand(site: Site) -> None:
    os.mkfifo(site.spool.staging / "pipe.yaml")
    site.take()
    again = retry(site, newest(site, "pipe.yaml").id)
    assert again.state == "failed"
    assert "it is in quarantine/" in told(again)
    assert "its file moved back to staging" in str(again.problems)


def test_a_result_offers_another_try_of_what_has_a_file(site: Site) -> None:
    before = refused(site)
    reconcile(site, own(1, elsewhere(1, "ann")))
    line = newest(site, "all.jsonl-1.json")
    offered = {
        who.id: yaml.safe_load(
            (site.config.spool / "failed" / f"{who.id}-{who.name}.result.yaml").read_text()
        ).get("retry")
        for who in (before, line)
    }
    assert offered == {who.id: f"provisioner retry {who.id}" for who in (before, line)}
