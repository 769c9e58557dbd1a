"""Whoever reaches the database without a right in the journal ends no process, and changes nothing:
what is heard is a reason to look into the journal."""

from __future__ import annotations

import time

import psycopg
import pytest

from provisioner.hosts.member import CHANGED, DUE, HANDED, RENEWED, RETURNED
from provisioner.journal import audit, stored
from provisioner.journal.records import request_rows
from provisioner.objects.states import RequestState
from provisioner.system import ulid
from provisioner.system.ulid import RequestId
from tests.support.engine_site import control, user
from tests.support.intakes import Intake, Intakes, asked

pytestmark = [pytest.mark.lab, pytest.mark.root]

STRANGE = [
    "",
    "hello",
    "hello\nworld",
    "\n",
    "Changed",
    *(f"{about}\n{name}" for about in (CHANGED, RENEWED, RETURNED) for name in ("", "x", "../x")),
    f"{CHANGED}\n{ulid.new()}\nx",
    f"{CHANGED}\n{ulid.new().lower()}",
]
"""No news of this program."""

UNKNOWN = [
    f"{DUE}\nno lane",
    f"{HANDED}\nx",
    *(f"{about}\n{ulid.new()}" for about in (CHANGED, RENEWED, RETURNED)),
    *(CHANGED, RENEWED, RETURNED),
]
"""News of what is not there."""


def tell(address: str, *news: str) -> None:
    """Tell as any role of the server may."""
    with psycopg.connect(address) as conn:
        for each in news:
            conn.execute("SELECT pg_notify('provisioner ' || current_schema(), %s)", [each])


def strange(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what is logged of strange news."""
    told = [record.getMessage() for record in caplog.records]
    return [message for message in told if "no news of this program" in message]


def test_news_that_a_process_does_not_know_are_ignored_and_logged_once(
    intakes: Intakes, caplog: pytest.LogCaptureFixture
) -> None:
    north, south = intakes.make("north"), intakes.make("south")
    north.drop(asked())
    north.take()
    for news in STRANGE:  # each by itself: one would hide what follows it
        tell(intakes.address, news)
        north.hear()
    assert len(strange(caplog)) == 1
    for _ in range(2):
        south.drain("first", "second")
    assert north.files("done") == []
    north.hear()
    assert north.files("done") == ["r.yaml"]


def test_news_of_what_is_not_there_do_nothing(
    intakes: Intakes, caplog: pytest.LogCaptureFixture
) -> None:
    north = intakes.make("north")
    for news in UNKNOWN:
        tell(intakes.address, news)
        north.hear()
    assert strange(caplog) == []


WRONG = "provisioner: 1\naction: none\n"


def done(intake: Intake) -> None:
    """Have a person come, go, and come back, and go: none of it may be done again."""
    for number, text in enumerate((user("u1", uid=2001), *map(turn, ("suspend", "resume")))):
        intake.drop(text, f"{number}.yaml")
        intake.take()
        for _ in range(2):
            intake.drain("first", "second")
        intake.service.clerk.catch_up()


def turn(verb: str) -> str:
    """Write a request that suspends a person, or ends that."""
    return user("u1", verb)


def waiting(intake: Intake) -> None:
    """Leave a request open."""
    intake.drop(user("u2", uid=2002))
    intake.take()


def refused(intake: Intake) -> None:
    """Leave a refused file, of which nobody asked that it be tried again."""
    intake.drop(WRONG, "wrong.yaml")
    intake.take()


def dismissed(intake: Intake) -> None:
    """Leave a refused file that a person has dismissed."""
    refused(intake)
    intake.drop(control("request.dismiss", intake.requests()[0].id))
    intake.take()


def cancelled(intake: Intake) -> None:
    """Leave a request that a person has cancelled."""
    waiting(intake)
    intake.drop(control("request.cancel", intake.requests()[0].id))
    intake.take()


def tried_again(intake: Intake) -> None:
    """Leave a refused file that was tried again, and refused again."""
    refused(intake)
    intake.drop(control("request.retry", intake.requests()[0].id))
    intake.take()


def put_right(intake: Intake) -> None:
    """Leave a refused file that was to be tried again, and that another one has put right since."""
    refused(intake)
    waiting(intake)
    wrong, right = intake.requests()
    with intake.system.journal.transaction() as conn:
        request_rows.set_fixed_by(conn, wrong.id, right.id)
    intake.service.clerk.settle([wrong.id])
    intake.service.clerk.catch_up()


def sent_again(intake: Intake) -> None:
    """Leave a cancelled request, and another one of its own id, whose receipt stands."""
    intake.drop(asked(1), "first.yaml")
    intake.take()
    intake.drop(control("request.cancel", intake.requests()[0].id))
    intake.take()
    intake.drop(asked(2), "second.yaml")
    intake.take()


STATES = {
    made.__name__: made
    for made in (done, waiting, refused, dismissed, cancelled, tried_again, put_right, sent_again)
}


def all_of(intake: Intake) -> object:
    """Return what the journal and the spool have, but for the times of files."""
    places = ("active", "deferred", "held", "done", "failed", "quarantine", "staging", "receipts")
    files = {
        str(path): path.read_bytes()
        for place in places
        for path in (intake.spool.root / place).rglob("*")
        if path.is_file()
    }
    return intake.requests(), files


@pytest.mark.parametrize("name", STATES)
def test_forged_news_of_a_request_change_nothing(intakes: Intakes, name: str) -> None:
    north = intakes.make("north")
    STATES[name](north)
    ids = [one.id for one in north.requests()]
    north.service.clerk.renew(ids)
    north.service.clerk.catch_up()
    before = all_of(north)
    for about in (CHANGED, RENEWED, RETURNED):
        for one in ids:  # each by itself: what follows would hide it
            tell(intakes.address, f"{about}\n{one}")
            north.hear()
            north.take()
            assert all_of(north) == before, about


def test_a_refused_file_goes_through_staging_if_the_journal_says_so(intakes: Intakes) -> None:
    north = intakes.make("north")
    refused(north)
    [wrong] = north.requests()
    with north.system.journal.transaction() as conn:  # as the house elsewhere does
        audit.append(conn, [audit.Event(wrong.id, "resubmitted", "by root")], time.time())
        north.member.tell_returned(conn, RequestId(wrong.id))
    north.hear()
    north.take()
    assert [one.state for one in north.requests()] == 2 * [RequestState.REFUSED]


def test_a_file_is_tried_again_also_if_the_request_for_that_has_its_name(
    intakes: Intakes,
) -> None:
    north = intakes.make("north")
    for text in (WRONG, control("request.retry", "{}")):
        north.drop(text.format(*(one.id for one in north.requests())), "same.yaml")
        north.take()
    assert [one.state for one in north.requests()].count(RequestState.REFUSED) == 2


def test_doctor_says_who_may_connect_and_what_to_type(intakes: Intakes) -> None:
    with psycopg.connect(intakes.address, autocommit=True) as conn:
        conn.execute("CREATE DATABASE \"to shut\" TEMPLATE template0 ENCODING 'UTF8'")
    address = intakes.address.replace("template1", "to%20shut")
    said = [one.advice for one in stored.of(address).findings() if "lets in" in one.message]
    assert len(said) == 1
    with psycopg.connect(address, autocommit=True) as conn:
        conn.execute(said[0].partition(": ")[2].encode())
    assert not [one for one in stored.of(address).findings() if "lets in" in one.message]
