"""A suspension whose writer is gone is lifted by root, who names the writer; by nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.request.request import InvalidFile, parse_request
from tests.support.engine_site import Site, allocation, user
from tests.support.policy_site import OPERATOR, POLICY, SECOND, send, why

GONE = f"uid-{SECOND}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site where a person and an allocation are suspended by who leaves then."""
    site = Site(tmp_path, POLICY)
    send(site, 0, user("mallory", uid=7), "u.yaml")
    send(site, OPERATOR, allocation(1, "ann"), "a.yaml")
    for text in (user("mallory", "suspend", cause="incident"), allocation(1, verb="suspend")):
        assert send(site, SECOND, text, "s.yaml").state == "done"
    return site


def resume(writer: str) -> str:
    return f"{user('mallory', 'resume', cause='incident')}writer: {writer}\n"


def test_root_lifts_the_suspension_of_the_writer_whom_it_names(site: Site) -> None:
    assert send(site, 0, resume(GONE)).state == "done"
    assert site.limit("first/account/mallory") == "7"
    again = send(site, 0, allocation(1, verb="resume", head=f"writer: {GONE}\n"))
    assert (again.state, site.limit("first/account/cf")) == ("done", "5")


def test_root_is_told_whom_to_name(site: Site) -> None:
    failed = send(site, 0, user("mallory", "resume", cause="incident"))
    assert failed.state == "failed"
    assert f"it is suspended by {GONE}: incident" in why(failed)
    assert "a resume from root with `writer`" in str(failed.problems)


def test_another_cause_of_that_writer_is_named(site: Site) -> None:
    other = f"{user('mallory', 'resume')}writer: {GONE}\n"
    failed = send(site, 0, other)
    assert f"{GONE} has not suspended user:mallory for 'request'" in why(failed)
    assert "cause: incident" in str(failed.problems)


def test_nobody_else_lifts_it_by_the_writers_name(site: Site) -> None:
    failed = send(site, OPERATOR, resume(GONE))
    assert failed.state == "failed"
    assert f"may lift only its own suspensions, not those of {GONE}" in why(failed)
    assert send(site, SECOND, resume(GONE)).state == "done", "their own they may name"


def test_a_suspension_names_no_writer() -> None:
    text = resume(GONE).replace("user.resume", "user.suspend")
    with pytest.raises(InvalidFile, match="writer"):
        parse_request(text.encode())
