"""Requests under an own id: the same one again, another one, and what the id names later."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.journal.outbox import rights
from provisioner.journal.queries import history, precedents
from provisioner.journal.records import request_rows
from tests.support.engine_site import Site, allocation, control


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a running site with two empty backends."""
    return Site(tmp_path)


def test_the_same_id_with_the_same_bytes_is_one_request(site: Site) -> None:
    text = allocation(1, "ann", head="id: c-1\n")
    site.request(text, "a.yaml")
    calls = len(site.first.calls)
    site.request(text, "b.yaml")
    assert len(site.first.calls) == calls
    assert "the same request as" in site.results("done")[1]["problems"][0]["message"]


def test_a_request_that_repeats_an_older_one_is_the_newest_of_nothing(site: Site) -> None:
    action, subject = "allocation.provision", "allocation:1"
    texts = [allocation(1, "ann", files=files, head=f"id: c-{files}\n") for files in (1, 2)]
    for text in (*texts, texts[0]):
        site.request(text, "a.yaml")
    with site.system.journal.reading() as conn:
        [first] = request_rows.find(conn, "c-1")[1:]
        [second] = request_rows.find(conn, "c-2")
        assert request_rows.newest_about(conn, subject, action) == second
        assert request_rows.newest_of(conn, [action]) == [second]
        assert history.newer(conn, first, [action]) == second.id
        assert rights.provided(conn, subject, action) == [second.id]
        ann = f"{subject}/user:ann"
        assert precedents.withdrawn_by(conn, first.id, [ann]) == {ann: second.id}


def test_the_same_id_with_other_bytes_is_refused(site: Site) -> None:
    site.request(allocation(1, "ann", head="id: c-1\n"), "a.yaml")
    site.request(allocation(1, "bob", head="id: c-1\n"), "b.yaml")
    assert site.states() == {"done": ["a.yaml"], "failed": ["b.yaml"]}


def test_the_same_id_of_what_was_superseded_while_it_waited_asks_for_nothing(site: Site) -> None:
    texts = [allocation(1, who, head=f"id: {who}\n") for who in ("ann", "bob")]
    site.first.away = True
    for text in texts:
        site.request(text, "a.yaml")
    site.back(site.first)
    members = {"first/account/cf", "first/member/cf/bob"}
    assert set(site.first.rows) == members
    site.request(texts[0], "again.yaml")
    site.request(texts[0].replace("ann]", "cem]"), "other.yaml")
    assert set(site.first.rows) == members
    with site.system.journal.reading() as conn:
        again, other = (
            request_rows.newest(conn, name, "") for name in ("again.yaml", "other.yaml")
        )
    assert again is not None and other is not None
    assert (again.state, other.state) == ("superseded", "refused")


def test_the_same_id_after_a_failure_is_a_new_attempt(site: Site) -> None:
    site.first.poison = {"cf"}
    site.request(allocation(1, head="id: c-1\n"), "a.yaml")
    site.first.poison = set()
    site.request(allocation(1, head="id: c-1\n"), "b.yaml")
    assert site.states() == {"done": ["a.yaml", "b.yaml"], "failed": []}


def test_an_own_id_names_the_request_that_has_it_whatever_comes_under_it_later(site: Site) -> None:
    site.first.away = True
    head = "id: dup-1\n"
    site.request(allocation(1, head=head), "good.yaml")
    for files in (6, 7, 7):
        site.request(allocation(1, files=files, head=head), "other.yaml")
    site.request(allocation(1, head=head), "again.yaml")
    # The same file refused once more is one failure: the first of the two is put away.
    assert site.states() == {"done": ["again.yaml", "other.yaml"], "failed": ["other.yaml"] * 2}
    [receipt] = (site.config.spool / "receipts").glob("*/dup-1.yaml")
    assert "state: deferred" in receipt.read_text() or "state: accepted" in receipt.read_text()
    site.request(control("request.cancel", "dup-1"))
    assert site.open() == []
    assert "good.yaml" in site.states()["failed"]
