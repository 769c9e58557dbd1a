"""The staff's list: what was said last of everything, by what it is filtered, how much it asks."""

from __future__ import annotations

import datetime
import re

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioner.coldfront.models import Request, Step
from tests.coldfront.pages.looking import (
    PAGE,
    asked,
    stands,
    step,
    text,
)
from tests.coldfront.site import Site


def test_a_row_says_what_failed_why_and_what_to_do(site: Site, active: Allocation) -> None:
    wrong = step("associations", "failed", "jjames", message="no uid", advice="make the account")
    stands(site, asked(site), "failed", step("slurm_account", "done"), wrong)
    said = text(site.get(PAGE))
    assert "associations (x-server, jjames): no uid What to do: make the account" in said


def test_a_row_calls_people_and_resources_by_their_names(site: Site, active: Allocation) -> None:
    User.objects.filter(username="admin").update(first_name="Ada", last_name="Admin")
    Request.objects.filter(pk=asked(site).pk).update(by="admin")
    Request.objects.create(
        event="provisioner_reconcile",
        key="reconcile",
        subject="site:",
        action="reconcile",
        digest="d",
    )
    said = text(site.get(PAGE))
    assert f"University HPC, allocation {active.pk}" in said
    assert "Jane James (jjames)" in said
    assert "by Ada Admin (admin)" in said
    assert "Everything that ColdFront wants" in said


@pytest.mark.parametrize(("minutes", "told"), [(4, False), (6, True)])
def test_what_nobody_answered_says_what_to_do_after_five_minutes(
    site: Site, active: Allocation, minutes: int, told: bool
) -> None:
    row = asked(site)
    Request.objects.exclude(pk=row.pk).delete()
    Request.objects.update(created=timezone.now() - datetime.timedelta(minutes=minutes))
    assert ("the service has not answered for five minutes" in site.get(PAGE)) == told


def test_an_advice_names_the_button_and_no_command_of_operators(
    site: Site, active: Allocation
) -> None:
    advice = "fix that step; `provisioner retry` then does this one, too"
    wrong = step("associations", "failed", message="skipped", advice=advice)
    stands(site, asked(site), "failed", wrong)
    said = text(site.get(PAGE))
    assert "What to do: fix that step; Try again then does this one, too" in said


@pytest.mark.parametrize(
    ("state", "word", "buttons"),
    [
        ("written", "asked", []),
        ("accepted", "accepted", ["Hold", "Cancel"]),
        ("deferred", "waiting", ["Try again", "Hold", "Cancel"]),
        ("scheduled", "waiting for its time", ["Hold", "Cancel"]),
        ("held", "held", ["Release", "Cancel"]),
        ("failed", "failed", ["Try again"]),
        ("refused", "refused", ["Try again"]),
        ("cancelled", "cancelled", ["Try again"]),
        ("done", "done", []),
        ("superseded", "replaced by a newer one", []),
        ("puzzled", "puzzled", []),
    ],
)
def test_a_row_has_its_state_in_words_and_the_buttons_that_make_sense(
    site: Site, active: Allocation, state: str, word: str, buttons: list[str]
) -> None:
    row = asked(site)
    Request.objects.exclude(pk=row.pk).delete()
    Request.objects.filter(pk=row.pk).update(state=state)
    page = site.get(PAGE, "hnelson")
    assert re.findall(r'class="badge text-bg-\w+">([^<]+)</span></td>', page) == [word.capitalize()]
    shown = r'<(?:button type="submit"|a) class="btn btn-sm [^>]*mb-1"[^>]*>([^<]+)<'
    assert re.findall(shown, page) == buttons
    assert (">Actions<" in page) == bool(buttons)


def test_what_is_wrong_comes_first_then_what_is_held_then_the_newest(
    several: Site, active: Allocation
) -> None:
    states = re.findall(r'class="badge text-bg-\w+">([^<]+)</span></td>', several.get(PAGE))
    assert states[:2] == ["Failed", "Held"]
    assert len(states) > 2


def test_a_chip_counts_says_that_it_is_chosen_and_keeps_what_else_is_looked_for(
    several: Site,
) -> None:
    page = several.get(f"{PAGE}?state=attention&project=QGP&user=j&page=2")
    chips = re.findall(r'<a class="btn btn-sm btn-outline-[^"]*" href="\?([^"]+)"([^>]*)>', page)
    assert chips[0] == ("state=attention&amp;project=QGP&amp;user=j", ' aria-current="true"')
    assert {current for _, current in chips[1:]} == {""}
    assert all("project=QGP&amp;user=j" in query for query, _ in chips)
    assert "Needs attention 2" in text(page)


def test_a_release_is_offered_to_whoever_did_not_ask(site: Site, active: Allocation) -> None:
    row = asked(site)
    Request.objects.filter(pk=row.pk).update(by="admin")
    stands(site, row, "held")
    for page in (PAGE, f"{PAGE}{row.number}/"):
        assert not re.search(r">Release</", site.get(page, "admin"))
        assert re.search(r">Release</", site.get(page, "hnelson"))


@pytest.mark.parametrize(
    ("became", "problems", "offered"),
    [("cancelled", [], False), ("done", [], True), ("done", ["only somebody left"], False)],
)
def test_a_release_is_not_offered_to_who_asked_for_the_same_before_and_did_not_get_it(
    site: Site, active: Allocation, became: str, problems: list[str], offered: bool
) -> None:
    row = asked(site)
    Request.objects.filter(key=row.key).exclude(pk=row.pk).delete()
    before = {"key": row.key, "action": row.action, "digest": "x"}
    Request.objects.create(**before, by="admin", state="refused" if problems else became, number=1)
    Request.objects.create(**before, state=became, problems=problems, number=2)
    stands(site, row, "held")
    assert bool(re.search(r">Release</", site.get(f"{PAGE}{row.number}/", "admin"))) == offered


def test_a_request_lists_what_failed_before_what_is_done(site: Site, active: Allocation) -> None:
    row = asked(site)
    wrong = step("associations", "failed", "jjames", message="no uid", advice="make the account")
    stands(site, row, "failed", step("slurm_account", "done"), step("resolves", "due"), wrong)
    heads = re.findall(
        r'<th scope="row"[^>]*table-cell[^>]*>(\w+)</th>', site.get(f"{PAGE}{row.number}/")
    )
    assert list(dict.fromkeys(heads)) == ["associations", "resolves", "slurm_account"]


def test_a_search_for_a_user_finds_the_requests_of_their_projects(
    site: Site, active: Allocation
) -> None:
    row = asked(site)
    Request.objects.filter(pk=row.pk).update(
        action="project.provision", subject="project:1", key="project-1", allocation=None, user=""
    )
    assert f"{PAGE}{row.number}/" in site.get(f"{PAGE}?user=jjames")
    assert f"{PAGE}{row.number}/" not in site.get(f"{PAGE}?user=sfoster")


def test_what_is_incomplete_says_what_to_fill_in_and_links_to_it(site: Site) -> None:
    site.says("Budgetstorage", provisioner_resource="store")
    allocation = site.allocation("Budgetstorage")
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    page = site.get(f"{PAGE}?state=attention")
    assert "fill in the allocation attribute &#x27;Storage Quota (GB)&#x27;" in page
    assert f'href="/allocation/{allocation.pk}/"' in page
    assert f'href="/allocation/{allocation.pk}/allocationattribute/add"' in page


@pytest.mark.database
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=failed", {"allocation:2"}),
        ("state=held", {"allocation:6"}),
        ("state=attention", {"allocation:2", "allocation:6"}),
        ("state=done", set()),
        ("project=QGP+holography&state=attention", {"allocation:2"}),
        ("project=%232&state=attention", {"allocation:6"}),
        ("project=2&state=held", {"allocation:6"}),
        ("project=nothing+like+it", set()),
        ("user=jjames&state=attention", {"allocation:2"}),
        ("user=JJ&state=asked", {"user:jjames", "project:cf1"}),
        ("user=%25", set()),
        ("user=sfoster&state=attention", {"allocation:6"}),
    ],
)
def test_the_list_is_filtered(several: Site, query: str, expected: set[str]) -> None:
    page = several.get(f"{PAGE}?{query}")
    assert set(re.findall(r"(?:allocation|user|project):\w+", text(page))) == expected


@pytest.mark.database
@pytest.mark.parametrize(
    "query",
    ["state=" + "x" * 300, "project=" + "9" * 400, "project=%F0%9F%92%A9", "user=%00", "page=-7"],
    ids=["state", "long number", "emoji", "null", "page"],
)
def test_a_strange_filter_breaks_nothing(several: Site, query: str) -> None:
    several.get(f"{PAGE}?{query}")


@pytest.mark.database
def test_earlier_requests_are_shown_when_they_are_wanted(site: Site, active: Allocation) -> None:
    first = asked(site)
    active.remove_user(User.objects.get(username="jjames"))
    newest = asked(site)
    assert f"{PAGE}{first.number}/" not in site.get(PAGE)
    assert f"{PAGE}{newest.number}/" in site.get(PAGE)
    assert f"{PAGE}{first.number}/" in site.get(f"{PAGE}?earlier=on")
    assert f"{PAGE}{first.number}/" in site.get(f"{PAGE}{newest.number}/")


def test_500_requests_need_no_more_queries_than_a_few(site: Site, active: Allocation) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            site.get(PAGE)
        return len(caught)

    few = queries()
    rows = [
        Request(
            event="e",
            key=f"allocation-{n}",
            action="allocation.provision",
            subject=f"allocation:{n}",
            allocation=n,
            project=active.project_id,
            body="{}",
            digest="d",
            state="failed",
        )
        for n in range(1000, 1500)
    ]
    Request.objects.bulk_create(rows)
    made = Request.objects.filter(allocation__gte=1000)
    Step.objects.bulk_create(
        Step(request=row, name="fileset", state="failed", message="full") for row in made
    )
    assert queries() <= few + 2
    page = site.get(f"{PAGE}?state=failed&page=2")
    assert "500 requests, page 2 of 10" in text(page)
    assert page.count("fileset") == 50
