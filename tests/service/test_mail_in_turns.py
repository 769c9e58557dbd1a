"""However many people an outcome concerns, they are told in short transactions, and nobody waits
for the mails of one address."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from provisioner.journal.journal import Connection
from provisioner.journal.outbox import draft, messages
from provisioner.journal.outbox.messages import Message
from provisioner.notify import outbox
from provisioner.objects.states import MessageState
from tests.support.ends_site import ending
from tests.support.engine_site import Killed, Site, user
from tests.support.mail_site import OPERATORS, notify, project, queue, served, tell, wrong
from tests.support.smtp_server import Mailbox

USERS = ("ann", "bob", "dan", "eve", "zoe")


@pytest.fixture
def site(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Site:
    for module in (draft, outbox):
        monkeypatch.setattr(module, "MANY", 2)
    return Site(tmp_path, notify(port))


def written(patch: pytest.MonkeyPatch, most: int = 99) -> list[int]:
    """Note how many messages each transaction writes. most: of these, before the service dies."""
    sizes: list[int] = []
    add = messages.add

    def noting(conn: Connection, added: Sequence[Message]) -> list[Message]:
        if len(sizes) == most:
            raise Killed
        sizes.append(len(added))
        return add(conn, added)

    patch.setattr(messages, "add", noting)
    return sizes


def test_the_messages_of_one_outcome_are_written_some_at_a_time(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.request(project(1, *USERS), "one.yaml")
    sizes = written(monkeypatch)
    tell(site)
    assert sizes == [2, 2, 2]
    assert all(len(mailbox.to(f"{name}@campus.test")) == 1 for name in (*USERS, "pi"))


def test_outcomes_that_concern_many_are_not_looked_at_together(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        site.request(project(number, "ann"), f"{number}.yaml")
    sizes = written(monkeypatch)
    tell(site)
    assert sizes == [2, 2, 2]
    assert len(mailbox.to("ann@campus.test")) == 3


def test_a_kill_between_two_transactions_tells_nobody_twice_and_forgets_nobody(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.request(project(1, *USERS), "one.yaml")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        written(patch, most=2)
        tell(site)
    site.start()
    tell(site)
    assert all(len(mailbox.to(f"{name}@campus.test")) == 1 for name in (*USERS, "pi"))


def test_warnings_before_access_ends_are_written_some_at_a_time(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(USERS):
        site.request(ending(user(name, uid=7 + number), 20), f"{name}.yaml")
    drafts: list[int] = []
    warn_all = site.service.house.courier._outbox.__class__._warn_all

    def noting(outbox: object, some: dict[str, object]) -> None:
        drafts.append(len(some))
        warn_all(outbox, some)  # type: ignore[arg-type]

    monkeypatch.setattr(site.service.house.courier._outbox.__class__, "_warn_all", noting)
    tell(site)
    assert [number for number in drafts if number] == [2, 2, 1]


def test_many_mails_for_one_address_hide_no_other_one(
    tmp_path: Path, port: int, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.notify.courier.BATCH", 3)
    site = Site(tmp_path, notify(port, "    per_recipient: 1\n"))
    served(site, wrong(1))
    for number in range(2, 8):
        site.request(wrong(number), f"wrong{number}.yaml")
    served(site, user("ann", uid=7))
    tell(site)
    assert len(mailbox.to(OPERATORS)) == 1
    assert len(mailbox.to("ann@campus.test")) == 1


def test_a_mailbox_that_is_spelt_in_many_ways_gets_no_more_than_its_share(
    tmp_path: Path, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port, "    per_recipient: 2\n"))
    spelt = ("v@campus.test", "V@campus.test", "v@Campus.Test", "V@CAMPUS.TEST", "w@campus.test")
    for number, address in enumerate(spelt):
        mailed = user(f"u{number}", uid=number + 7).replace("}", f", email: {address}}}")
        served(site, mailed)
    to = [mail["X-Envelope-To"].lower() for mail in mailbox.mails]
    assert (to.count("v@campus.test"), to.count("w@campus.test")) == (2, 1)


def test_where_all_get_few_mails_the_users_of_one_allocation_keep_nobody_waiting(
    tmp_path: Path, port: int, mailbox: Mailbox
) -> None:
    site = Site(tmp_path, notify(port, "    in_all: 2\n"))
    site.request(project(1, *USERS), "many.yaml")
    site.request(user("gil", uid=7), "one.yaml")
    tell(site)
    assert len(mailbox.mails) == 2
    assert len(mailbox.to("gil@campus.test")) == 1


def test_old_messages_are_forgotten_some_at_a_time(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(site, project(1, *USERS))
    assert len(mailbox.mails) == len(USERS) + 1
    monkeypatch.setattr("provisioner.notify.courier.BATCH", 2)
    forgotten: list[int] = []
    forget = messages.forget

    def noting(conn: Connection, before: float, most: int) -> int:
        forgotten.append(forget(conn, before, most))
        return forgotten[-1]

    monkeypatch.setattr(messages, "forget", noting)
    courier = site.service.house.courier
    courier._cleaned, courier.dated = 0.0, lambda: time.time() + 31 * 86400.0
    tell(site)
    assert forgotten == [2, 2, 2]
    assert not queue(site, MessageState.SENT)
