"""A request's page and its buttons: each is a control request in the name of who pressed it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User
from django.test import override_settings

from provisioner.coldfront.models import Request
from provisioner.request.request import parse_request
from tests.coldfront.pages.looking import (
    HOSTILE,
    PAGE,
    ULID,
    asked,
    controls,
    press,
    stands,
    step,
    text,
)
from tests.coldfront.site import Site


def test_a_requests_page_lists_its_steps_and_what_was_asked(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "deferred", step("home", "due", message="away", advice="wait"))
    page = site.get(f"{PAGE}{row.number}/")
    for said in ("home", "x-server", "Under way", "away", "wait", row.event):
        assert said in page
    assert "&quot;action&quot;: &quot;allocation.provision&quot;" in page


@pytest.mark.parametrize("path", ["999999/", "x/", "1/explode/"])
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    assert site.client().get(PAGE + path).status_code in (404, 405)


@pytest.mark.parametrize(
    ("state", "verb"),
    [("failed", "retry"), ("deferred", "hold"), ("held", "release"), ("held", "cancel")],
)
def test_a_button_writes_a_control_request_in_the_name_of_who_pressed_it(
    site: Site, active: Allocation, state: str, verb: str
) -> None:
    row = asked(site)
    stands(site, row, state, ulid=ULID)
    page = press(site, row, verb, "hnelson", reason="ticket\n9")
    [control] = controls(site)
    assert control["action"] == f"request.{verb}"
    assert (control["on_behalf_of"], control["reason"]) == ("hnelson", "ticket 9")
    assert control["request"] == ULID
    written = site.rows(action=f"request.{verb}")[0]
    assert (written.state, written.by, control["id"]) == (
        "written",
        "hnelson",
        f"cf-{written.number}",
    )
    assert "is sent. This page shows the outcome" in text(page.content.decode())


def test_a_release_says_what_the_page_showed(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "held", ulid=ULID)
    shown = site.get(f"{PAGE}{row.number}/")
    [digest] = {*re.findall(r'name="digest" value="([0-9a-f]{64})"', shown)}
    Request.objects.filter(pk=row.pk).update(answer={"id": ULID, "digest": "b" * 64})
    press(site, row, "release", "hnelson", digest=digest)
    [control] = controls(site)
    assert (control["request"], control["digest"]) == (ULID, digest)


@pytest.mark.parametrize(
    ("verb", "digest"), [("cancel", "a" * 64), ("release", ""), ("release", HOSTILE)]
)
def test_what_is_no_digest_or_no_release_says_none(
    site: Site, active: Allocation, verb: str, digest: str
) -> None:
    row = asked(site)
    stands(site, row, "held")
    press(site, row, verb, "hnelson", digest=digest)
    assert "digest" not in controls(site)[0]


def test_a_request_is_steered_by_its_own_id_until_the_services_is_known(
    site: Site, active: Allocation
) -> None:
    row = asked(site)
    stands(site, row, "failed", ulid="not a ULID")
    press(site, row, "retry")
    assert controls(site)[0]["request"] == f"cf-{row.number}"


def test_from_the_list_one_comes_back_to_the_list_as_it_was(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    address = re.search(r'action="([^"]+/retry/[^"]*)"', site.get(f"{PAGE}?state=failed&user=j"))
    assert address is not None
    pressed = site.client().post(address[1].replace("&amp;", "&"), {"listed": "1"})
    assert pressed.headers["location"] == f"{PAGE}?state=failed&user=j"


def test_what_was_asked_and_what_the_policy_said_is_shown(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "held")
    press(site, row, "release", "hnelson")
    assert "release, asked by hnelson: asked" in text(site.get(PAGE))
    assert ">Release<" not in site.get(PAGE)
    problem = {"message": "cf-1 is admin's own", "expected": "ask another of root"}
    stands(site, site.rows(action="request.release")[0], "refused", problems=[problem])
    said = text(site.get(PAGE))
    assert "refused: cf-1 is admin&#x27;s own. What to do: ask another of root" in said
    assert ">Release<" in site.get(PAGE, "hnelson")


@pytest.mark.parametrize(("state", "verb"), [("done", "retry"), ("failed", "release")])
def test_a_button_that_came_too_late_says_so_and_writes_nothing(
    site: Site, active: Allocation, state: str, verb: str
) -> None:
    row = asked(site)
    stands(site, row, state)
    assert f"cannot {verb} cf-{row.number} now" in press(site, row, verb).content.decode()
    assert controls(site) == []


def test_a_press_that_comes_twice_is_one_request(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    press(site, row, "retry")
    press(site, row, "retry")
    assert len(controls(site)) == 1


def test_what_a_newer_request_replaced_is_not_tried_again(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "failed")
    active.remove_user(User.objects.get(username="jjames"))
    press(site, row, "retry")
    assert controls(site) == []


def test_a_button_is_heard_with_atomic_requests_too(
    site: Site, active: Allocation, atomic_requests: bool
) -> None:
    row = asked(site)
    stands(site, row, "failed")
    with site.atomic_requests(atomic_requests):
        press(site, row, "retry")
    assert len(controls(site)) == 1


def test_a_staging_that_takes_nothing_is_told_to_who_presses_and_on_the_list(
    site: Site, active: Allocation, tmp_path: Path
) -> None:
    row = asked(site)
    stands(site, row, "failed")
    with override_settings(PROVISIONER_STAGING=str(tmp_path / "gone")):
        said = press(site, row, "retry").content.decode()
        assert "cannot write to staging" in said
        active.remove_user(User.objects.get(username="jjames"))
        unsent = text(site.get(f"{PAGE}?state=attention"))
    assert "Asked, cannot be sent" in unsent
    assert "coldfront provisioner_flush" in unsent
    site.sync()
    assert len(controls(site)) == 1


def test_somebody_whose_name_no_request_may_bear_is_named_in_other_letters(
    site: Site, active: Allocation
) -> None:
    User.objects.create_user("Zoé Staff", is_staff=True)
    row = asked(site)
    stands(site, row, "failed")
    press(site, row, "retry", "Zoé Staff")
    [path] = [one for one in site.staging.iterdir() if b"request.retry" in one.read_bytes()]
    assert parse_request(path.read_bytes()).on_behalf_of == "zo_u00e9__u0020_staff"
    assert "asked by Zoé Staff" in text(site.get(PAGE))


def test_what_buttons_write_is_right_by_the_format(site: Site, active: Allocation) -> None:
    row = asked(site)
    stands(site, row, "held")
    press(site, row, "cancel", reason=HOSTILE * 100)
    [path] = [one for one in site.staging.iterdir() if b"request.cancel" in one.read_bytes()]
    assert parse_request(path.read_bytes()).on_behalf_of == "admin"


def test_a_request_names_the_person_whose_page_caused_it(site: Site, active: Allocation) -> None:
    site.decide(active, status="Revoked")
    assert site.last("allocation.suspend")["on_behalf_of"] == "admin"
    assert ", by admin" in site.get(f"{PAGE}{asked(site, 'allocation.suspend').number}/")


def test_a_person_with_other_letters_is_not_nobody(site: Site, active: Allocation) -> None:
    site.get(PAGE)  # logged in under the name before
    User.objects.filter(username="admin").update(username="\xc5dmin")
    site.decide(active, status="Revoked")
    assert site.last("allocation.suspend")["on_behalf_of"] == "_u00e5_dmin"


def test_what_no_person_caused_names_nobody(site: Site, active: Allocation) -> None:
    active.remove_user(User.objects.get(username="jjames"))
    assert "on_behalf_of" not in site.last("allocation.provision")
