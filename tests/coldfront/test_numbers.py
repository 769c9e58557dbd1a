"""Numbers of requests that begin again, as after a restore of ColdFront's database."""

from __future__ import annotations

import hashlib
import json
from io import StringIO
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from provisioner.coldfront.answering import answers
from provisioner.coldfront.answering.numbers import why_not_its
from provisioner.coldfront.asking.files import files_of
from provisioner.coldfront.asking.outbox import list_name
from provisioner.coldfront.models import Request, Standing
from provisioner.outcome import offer
from tests.coldfront.allocations import HPC
from tests.coldfront.site import Site

pytestmark = pytest.mark.database

UNSENT = "coldfront provisioner_renumber"


def because(message: str) -> list[dict[str, Any]]:
    """Give the problems of an answer."""
    return [{"line": 5, "key": "order.number", "message": message}]


@pytest.fixture
def served(site: Site, active: Allocation) -> Allocation:
    """Give an allocation whose users are ready."""
    answered(site)
    assert standings(active) == {("cgray", "ready")}
    return active


def answered(site: Site) -> None:
    for row in site.rows(state="written"):
        site.answer(row, "done")
    site.sync()


def standings(allocation: Any) -> set[tuple[str, str]]:
    rows = Standing.objects.filter(allocation=allocation.pk)
    return set(rows.values_list("user", "state"))


def with_jjames(allocation: Any) -> Request:
    """Let jjames in; give the row."""
    allocation.add_user(User.objects.get(username="jjames"))
    row: Request = Request.objects.filter(action="allocation.provision").latest("number")
    return row


def known(site: Site, number: int) -> None:
    """Let the service know a request that this ColdFront has not sent."""
    row = Request(number=number, body="{}", action="reconcile")
    site.answer(row, "done", digest="0" * 64)


def refused(command: str) -> str:
    with pytest.raises(CommandError) as raised:
        call_command(command, stdout=StringIO(), stderr=StringIO())
    return str(raised.value)


# Whose an answer is.


@pytest.mark.parametrize(
    "told", [{"digest": "0" * 64}, {"digest": ""}, {"action": "allocation.suspend"}]
)
def test_the_answer_to_another_request_is_no_answer(
    site: Site, served: Allocation, told: dict[str, Any]
) -> None:
    row = with_jjames(served)
    site.answer(row, "done", **told)
    site.sync()
    row.refresh_from_db()
    assert (row.state, row.answer) == ("unheard", None)
    assert row.error.startswith(f"the service knows another request under the id cf-{row.number}")
    assert standings(served) == {("cgray", "failed"), ("jjames", "failed")}


def test_a_file_that_the_service_could_not_read_is_refused_without_a_digest(
    site: Site, served: Allocation
) -> None:
    row = with_jjames(served)
    site.answer(row, "refused", action="", digest="")
    site.sync()
    row.refresh_from_db()
    assert row.state == "refused"


def test_the_answer_to_a_line_of_a_manifest_is_that_to_its_row(
    site: Site, active: Allocation
) -> None:
    User.objects.filter(username="cgray").update(first_name="Zoë")
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    row = site.rows(action="user.provision", user="cgray")[-1]
    assert "Zoë" in row.body
    line = json.dumps(json.loads(row.body)).encode()
    site.answer(row, "done", digest=hashlib.sha256(line).hexdigest())
    site.sync()
    row.refresh_from_db()
    assert row.state == "done"


def test_the_next_reconcile_asks_again_for_what_was_not_heard(
    site: Site, served: Allocation
) -> None:
    row = with_jjames(served)
    site.answer(row, "done", digest="0" * 64)
    site.sync()
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    again = Request.objects.filter(action="allocation.provision").latest("number")
    assert again.number > row.number
    answered(site)
    assert ("jjames", "ready") in standings(served)


def large(accepted: str, digest: str = "0" * 64) -> str:
    """Judge an answer to a request whose users are in a file of their own."""
    users = [f"a-long-name-of-somebody-{number}" for number in range(3000)]
    row = Request(
        number=7, action="allocation.provision", created=timezone.now(),
        body=json.dumps({"action": "allocation.provision", "allocation": {"users": users}}),
    )  # fmt: skip
    files = files_of(list_name(7), row.body)
    assert files.users is not None
    said = digest or hashlib.sha256(files.body).hexdigest()
    receipt = f"state: done\ndigest: {said}\naccepted: {accepted}\n"
    answer = answers.read(receipt.encode())
    assert answer is not None
    return why_not_its(row, answer)


def test_the_answer_to_a_request_with_a_list_of_users_is_known_by_the_file(site: Site) -> None:
    assert large("2020-01-01T00:00:00Z", digest="") == ""


def test_after_a_change_of_the_secret_key_it_is_known_by_its_time(site: Site) -> None:
    assert large("2099-01-01T00:00:00Z") == ""
    assert "another request under the id cf-7" in large("2020-01-01T00:00:00Z")


def test_the_answer_in_a_receipt_that_is_too_large_is_known_by_its_digest() -> None:
    receipt = b"id: i\ndigest: " + b"a" * 64 + b"\nstate: done\nsteps: {[" + b"\n"
    answer = answers.read(receipt)
    assert answer is not None
    assert answer.whole == {"state": "done", "digest": "a" * 64}


# Superseded.


def test_a_request_that_a_newer_one_of_coldfronts_replaced_is_no_fault(
    site: Site, served: Allocation
) -> None:
    row = with_jjames(served)
    served.remove_user(User.objects.get(username="jjames"))
    site.answer(row, "superseded")
    site.sync()
    answered(site)
    row.refresh_from_db()
    assert row.state == "superseded"
    assert standings(served) == {("cgray", "ready")}


def test_a_request_that_somebody_elses_replaced_is_not_ready_and_asked_for_again(
    site: Site, served: Allocation
) -> None:
    row = with_jjames(served)
    site.answer(row, "superseded", problems=because("a newer request replaced it"))
    site.sync()
    row.refresh_from_db()
    assert row.state == "unheard"
    assert "by one that this ColdFront does not have: a newer request replaced it" in row.error
    assert ("jjames", "failed") in standings(served)
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    assert Request.objects.filter(key=row.key).latest("number").number > row.number


def test_a_manifest_that_somebody_elses_replaced_is_told_to_staff(
    site: Site, served: Allocation
) -> None:
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    [row] = site.rows(action="reconcile")
    site.answer(row, "superseded")
    site.sync()
    page = site.get("/provisioning/?state=attention")
    assert f"cf-{row.number}" in page
    assert "Not heard" in page


# Numbers that are behind.


@pytest.mark.parametrize("how", ["a receipt", "an order"])
def test_nothing_is_sent_while_the_service_knows_a_higher_number(
    site: Site, served: Allocation, how: str
) -> None:
    if how == "a receipt":
        known(site, 4711)
    else:
        [lower] = because("order 7 is lower than the one that was accepted before")
        site.answer(with_jjames(served), "superseded", problems=[{**lower, "highest": 4711}])
    assert UNSENT in refused("provisioner_sync")
    site.clear()
    served.add_user(User.objects.get(username="sfoster"))
    for command in ("provisioner_flush", "provisioner_sync", "provisioner_reconcile"):
        said = refused(command)
        assert "the service knows cf-4711, which this ColdFront has not sent" in said
        assert UNSENT in said
    assert list(site.staging.iterdir()) == []
    assert UNSENT in site.get("/provisioning/")
    assert UNSENT in site.get(f"/allocation/{served.pk}/")
    assert UNSENT not in site.get(f"/allocation/{served.pk}/", "cgray")


def test_a_removal_is_not_shown_as_done_while_nothing_is_sent(
    site: Site, served: Allocation
) -> None:
    with_jjames(served)
    answered(site)
    known(site, 4711)
    refused("provisioner_sync")
    served.remove_user(User.objects.get(username="jjames"))
    site.decide(served, status="Revoked")
    refused("provisioner_sync")
    assert standings(served) == {("cgray", "failed")}
    assert site.get("/provisioning/?state=attention").count("cannot be sent") >= 2


@pytest.mark.parametrize("command", ["provisioner_flush", "provisioner_reconcile"])
def test_each_command_looks_before_it_sends(site: Site, served: Allocation, command: str) -> None:
    known(site, 4711)
    site.clear()
    assert UNSENT in refused(command)
    assert list(site.staging.iterdir()) == []


def test_own_numbers_are_not_behind_when_their_newest_rows_are_gone(
    site: Site, served: Allocation
) -> None:
    row = with_jjames(served)
    site.answer(row, "done")
    Request.objects.filter(pk=row.pk).delete()
    site.sync()


@pytest.mark.parametrize("name", ["cg-9999.yaml", "cf-9999.users", "cf-.yaml", "cf-9x.yaml"])
def test_the_receipts_of_others_say_nothing_of_our_numbers(
    site: Site, served: Allocation, name: str
) -> None:
    (site.receipts / name).write_text("state: done\n")
    site.sync()


def test_renumbering_goes_on_above_what_the_service_knows(site: Site, served: Allocation) -> None:
    known(site, 4711_000_000_000)
    refused("provisioner_sync")
    site.clear()
    row = with_jjames(served)
    call_command("provisioner_renumber", stdout=StringIO())
    site.sync()
    [sent] = [one for one in site.files() if one["action"] == "allocation.provision"]
    assert sent["order"]["number"] > 4711_000_000_000
    assert sent["id"] == f"cf-{sent['order']['number']}"
    assert "jjames" in sent["allocation"]["users"]
    assert not Request.objects.filter(pk=row.pk).exists()
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    answered(site)
    assert standings(served) == {("cgray", "ready"), ("jjames", "ready")}


def test_renumbering_goes_on_above_the_clock(site: Site, served: Allocation) -> None:
    call_command("provisioner_renumber", stdout=StringIO())
    assert with_jjames(served).number > 1_700_000_000


def test_the_check_says_what_was_not_heard_and_what_to_type(
    site: Site, served: Allocation, capsys: pytest.CaptureFixture[str]
) -> None:
    row = with_jjames(served)
    site.answer(row, "done", digest="0" * 64)
    known(site, 4711)
    refused("provisioner_sync")
    site.says(HPC, slurm_cluster="a")
    offer.publish(site.staging, {"a"})
    with pytest.raises(CommandError, match="has not heard 1 requests") as raised:
        call_command("provisioner_check", no_color=True)
    assert UNSENT in str(raised.value)
    assert f"cf-{row.number}  allocation:{served.pk}  not heard: " in capsys.readouterr().out
