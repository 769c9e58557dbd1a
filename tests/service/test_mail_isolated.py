"""Nothing that one message, person or date does keeps mail from anybody else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from provisioner.journal.outbox import messages
from provisioner.journal.outbox.messages import HOOK, Message
from provisioner.journal.schema import requests
from provisioner.objects.states import MessageState
from tests.support.ends_site import ending
from tests.support.engine_site import Site, control, user
from tests.support.mail_site import OPERATORS, notify, queue, served, tell
from tests.support.smtp_server import Mailbox

ANN, BOB, ZOE = "ann@campus.test", "bob@campus.test", "zoe@campus.test"


@pytest.fixture
def site(tmp_path: Path, port: int) -> Site:
    return Site(tmp_path, notify(port))


def warn(site: Site) -> None:
    """Let the courier look for dates, too."""
    site.service.house.courier._warned = 0.0
    tell(site)


def warnings(mailbox: Mailbox, address: str) -> list[str]:
    return [subject for subject in mailbox.subjects(address) if " ends on " in subject]


def newest(site: Site, name: str) -> str:
    with site.system.journal.reading() as conn:
        return str(conn.scalar(select(func.max(requests.c.id)).where(requests.c.name == name)))


def refuse(site: Site, person: str) -> None:
    """Let the journal take no message to a person."""
    with site.system.journal.transaction() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(f"ALTER TABLE messages ADD CHECK (person <> '{person}')")
            return
        conn.exec_driver_sql(
            f"CREATE TRIGGER no BEFORE INSERT ON messages WHEN NEW.person = '{person}' "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )


def test_a_date_that_is_in_force_again_after_another_one_is_told_again_and_stops_no_mail(
    site: Site, mailbox: Mailbox
) -> None:
    site.request(ending(user("ann", uid=7), 20), "first.yaml")
    warn(site)
    site.first.away = True
    site.request(ending(user("ann", uid=7), 25), "later.yaml")
    warn(site)
    site.request(control("request.cancel", newest(site, "later.yaml")), "cancel.yaml")
    site.back(site.first)
    warn(site)
    served(site, user("zoe", uid=9))
    first, second, third = warnings(mailbox, ANN)
    assert (first == third, first == second) == (True, False)
    assert mailbox.subjects(ZOE) == ["Your account zoe is ready"]


def test_a_warning_that_cannot_be_written_leaves_the_others(site: Site, mailbox: Mailbox) -> None:
    site.request(ending(user("ann", uid=7), 20), "ann.yaml")
    site.request(ending(user("bob", uid=8), 20), "bob.yaml")
    refuse(site, "ann")
    warn(site)
    assert (len(warnings(mailbox, ANN)), len(warnings(mailbox, BOB))) == (0, 1)


def test_an_outcome_of_which_nobody_can_be_told_leaves_the_others(
    site: Site, mailbox: Mailbox
) -> None:
    refuse(site, "ann")
    served(site, *(user(name, uid=uid) for uid, name in enumerate(("bob", "ann", "zoe"), 7)))
    assert len(mailbox.to(BOB)) == len(mailbox.to(ZOE)) == 1
    assert mailbox.to(ANN) == []


def test_a_digest_that_cannot_be_made_keeps_no_mail(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(conn: Any) -> Any:
        raise KeyError("cause")

    monkeypatch.setattr(site.service.house.courier, "_causes", fails)
    served(site, user("ann", uid=7))
    assert len(mailbox.to(ANN)) == 1


def test_an_operator_who_is_named_twice_gets_one_mail(
    tmp_path: Path, port: int, mailbox: Mailbox
) -> None:
    twice = notify(port).replace(f"[{OPERATORS}]", f"[{OPERATORS}, {OPERATORS}]")
    site = Site(tmp_path, twice)
    served(site, user("ann", uid=7).replace("user:", "usr:"), user("bob", uid=7))
    tell(site, time.time() + 2 * 86400.0)
    assert len(mailbox.to(OPERATORS)) == 2
    assert len(mailbox.to(BOB)) == 1


def test_a_hook_that_is_behind_keeps_no_mail(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.notify.courier.BATCH", 2)
    with site.system.journal.transaction() as conn:
        messages.add(conn, [message(f"h{number}", HOOK) for number in range(3)])
    served(site, user("ann", uid=7))
    assert len(mailbox.to(ANN)) == 1


def message(name: str, channel: str, person: str = "") -> Message:
    return Message(
        id=name,
        channel=channel,
        event="account_ready",
        person=person,
        address="",
        subject="user:ann",
        facts={},
        state=MessageState.WAITING,
        made=1.0,
        due=1.0,
    )


def test_a_message_that_is_there_is_no_news_and_another_with_its_id_is_named(site: Site) -> None:
    first, other = message("a", "mail", "ann"), message("a", "mail", "bob")
    with site.system.journal.transaction() as conn:
        assert messages.add(conn, [first]) == []
        assert messages.add(conn, [first, message("b", "mail", "zoe")]) == []
        assert messages.add(conn, [other]) == [other]
    assert {one.person for one in queue(site)} == {"ann", "zoe"}
