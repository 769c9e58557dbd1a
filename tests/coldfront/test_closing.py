"""An allocation is shown as closed, or as open again, when the service has done that."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation
from django.core.management import call_command

from provisioner.coldfront.asking import manifest
from provisioner.coldfront.models import Standing
from tests.coldfront.site import Site

SAID = [
    # the service's answer, what users are, what staff read, what a PI reads
    ("accepted", "waiting", "the request for it is accepted", "The change was asked for."),
    ("held", "waiting", "is held: a crowd", "The change waits for the centre's staff."),
    ("refused", "failed", "is refused: a crowd", "The change failed; the centre's staff can see"),
    ("failed", "failed", "is failed: a crowd", "The change failed; the centre's staff can see"),
    ("cancelled", "failed", "is cancelled: a crowd", "The change failed; the centre's staff can"),
]
CROWD = [{"line": None, "key": "", "message": "a crowd: 40 people would lose access"}]


@pytest.fixture
def served(site: Site, active: Allocation) -> Allocation:
    """Give an allocation whose users are ready."""
    answered(site)
    assert standings(active) == {("cgray", "ready")}
    return active


def answered(site: Site, state: str = "done", **about: Any) -> None:
    for row in site.rows(state="written", **about):
        site.answer(row, state, problems=[] if state in ("done", "accepted") else CROWD)
    site.sync()


def standings(allocation: Any) -> set[tuple[str, str]]:
    rows = Standing.objects.filter(allocation=allocation.pk)
    return set(rows.values_list("user", "state"))


def page(site: Site, path: str, user: str = "admin") -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", site.get(path, user))))


def test_an_allocation_is_not_closed_before_the_service_has_answered(
    site: Site, served: Allocation
) -> None:
    site.decide(served, status="Revoked")
    site.sync()
    assert standings(served) == {("cgray", "waiting")}
    staff = page(site, f"/allocation/{served.pk}/")
    assert "access is not closed: the request for it is not answered yet" in staff
    answered(site)
    assert standings(served) == {("cgray", "closed")}
    assert "Access is closed: the allocation is Revoked" in page(site, f"/allocation/{served.pk}/")


@pytest.mark.parametrize(("state", "stands", "staff", "manager"), SAID)
def test_the_pages_say_what_became_of_the_closing(
    site: Site, served: Allocation, state: str, stands: str, staff: str, manager: str
) -> None:
    site.decide(served, status="Revoked")
    answered(site, state, action="allocation.suspend")
    assert standings(served) == {("cgray", stands)}
    said = page(site, f"/allocation/{served.pk}/")
    assert staff in said
    assert "Access is closed" not in said
    said = page(site, f"/project/{served.project_id}/", "cgray")
    assert "Access is not closed: the allocation is Revoked, since" in said
    assert manager in said
    assert "a crowd" not in said


def test_a_closing_that_cannot_be_sent_is_not_closed(site: Site, served: Allocation) -> None:
    site.staging.rename(site.staging.with_name("away"))
    site.decide(served, status="Revoked")
    with pytest.raises(Exception, match="cannot write to staging"):
        site.sync()
    assert standings(served) == {("cgray", "failed")}
    assert "access is not closed: the request for it is not sent yet" in page(
        site, f"/allocation/{served.pk}/"
    )


def test_what_closed_an_allocation_is_the_step_that_failed(site: Site, served: Allocation) -> None:
    site.decide(served, status="Revoked")
    [row] = site.rows(action="allocation.suspend")
    step = {
        "step": "associations", "handler": "slurm-a", "state": "failed",
        "problems": [{"user": "", "message": "slurmdbd is away", "advice": "start it"}],
    }  # fmt: skip
    site.answer(row, "failed", step)
    site.sync()
    [standing] = Standing.objects.filter(allocation=served.pk)
    assert standing.message.endswith("is failed: associations: slurmdbd is away")
    assert standing.advice == "start it"


@pytest.mark.parametrize("state", ["failed", "refused", "cancelled"])
def test_the_next_reconcile_closes_what_an_event_could_not(
    site: Site, served: Allocation, state: str
) -> None:
    site.decide(served, status="Revoked")
    answered(site, state, action="allocation.suspend")
    call_command("provisioner_reconcile")
    site.sync()
    [standing] = Standing.objects.filter(allocation=served.pk)
    assert "the request for it is not answered yet" in standing.message
    answered(site, action="allocation.suspend")
    assert standings(served) == {("cgray", "closed")}


def test_who_is_closed_for_one_more_reason_stays_closed(site: Site, served: Allocation) -> None:
    site.decide(served, status="Revoked")
    answered(site)
    site.decide(served, status="Denied")
    answered(site, "held", action="allocation.suspend")
    assert standings(served) == {("cgray", "closed")}


def step(state: str) -> dict[str, Any]:
    return {"step": f"a-{state}", "handler": "slurm-a", "state": state, "problems": []}


DONE, FAILED = step("done"), step("failed")


@pytest.mark.parametrize(
    ("state", "steps", "stands"),
    [
        ("failed", [DONE, FAILED], "waiting"),
        ("deferred", [DONE], "waiting"),
        ("accepted", [], "waiting"),
        (None, [], "waiting"),  # not answered yet
        ("done", [DONE], "waiting"),
        ("superseded", [DONE], "waiting"),
        ("cancelled", [FAILED], "waiting"),
        ("superseded", [], "closed"),
        ("cancelled", [], "closed"),
        ("refused", [], "closed"),
    ],
)
def test_what_may_have_been_opened_in_between_is_not_closed_before_that_is_done_again(
    site: Site, served: Allocation, state: str | None, steps: list[dict[str, Any]], stands: str
) -> None:
    site.decide(served, status="Revoked")
    answered(site)
    site.decide(served, status="Active")
    site.decide(served, status="Revoked")
    [resume] = site.rows(action="allocation.resume")
    [*_, again] = site.rows(action="allocation.suspend")
    if state is not None:
        site.answer(resume, state, *steps)
    site.answer(again, "held", problems=CROWD)
    site.sync()
    assert standings(served) == {("cgray", stands)}
    said = page(site, f"/allocation/{served.pk}/")
    assert ("Access is closed: the allocation is Revoked" in said) == (stands == "closed")
    assert ("access is not closed: the request for it is held" in said) == (stands != "closed")


@pytest.mark.parametrize(
    ("state", "stands"), [("accepted", "waiting"), ("refused", "failed"), ("done", "ready")]
)
def test_access_is_not_given_back_before_the_service_has_done_that(
    site: Site, served: Allocation, state: str, stands: str
) -> None:
    site.decide(served, status="Revoked")
    answered(site)
    site.decide(served, status="Active")
    answered(site, state, action="allocation.resume")
    assert standings(served) == {("cgray", stands)}
    told = "Access was closed, and is not given back yet"
    assert (told in page(site, f"/project/{served.project_id}/", "cgray")) == (state != "done")


@pytest.mark.parametrize(
    ("why", "said"),
    [("others", "the centre has suspended the user"), ("reconcile", "suspended (reconcile)")],
)
def test_who_is_suspended_on_the_service_is_not_ready_until_they_are_resumed(
    site: Site, active: Allocation, why: str, said: str
) -> None:
    answered(site, action="user.provision")
    [row] = site.rows(action="allocation.provision")
    site.answer(row, "done", closed={"cgray": why})
    site.sync()
    assert standings(active) == {("cgray", "closed")}
    for path, user in (
        (f"/allocation/{active.pk}/", "admin"),
        (f"/project/{active.project_id}/", "cgray"),
    ):
        told = page(site, path, user)
        assert f"Access is closed: {said}. Nothing was deleted." in told
        assert "Everything is ready" not in told
    site.answer(row, "done")
    site.sync()
    assert standings(active) == {("cgray", "ready")}


def test_what_a_page_closes_while_a_manifest_is_made_is_not_opened_by_it(
    site: Site, served: Allocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.clear()
    read = manifest._read_with_ids

    def and_somebody_revokes(event: str) -> manifest.Manifest:
        found = read(event)
        site.decide(served, status="Revoked")
        return found

    monkeypatch.setattr(manifest, "_read_with_ids", and_somebody_revokes)
    call_command("provisioner_reconcile")
    access = [one["action"] for one in site.files() if "cause" in one]
    assert access == ["allocation.suspend"]
    answered(site)
    assert standings(served) == {("cgray", "closed")}
