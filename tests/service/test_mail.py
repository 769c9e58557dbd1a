"""People are told by mail what became of requests: once, and in nobody's way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from provisioner.config.notify import MailConfig
from provisioner.config.schema import load
from provisioner.notify.addresses import Addresses
from provisioner.notify.post import Session
from provisioner.objects.states import MessageState
from tests.support import smtp_server
from tests.support.engine_site import Killed, Site, allocation, membership, user
from tests.support.mail_site import OPERATORS, notify, project, queue, served, tell, wrong
from tests.support.manifest_site import POLICY, ask, entry, reconcile
from tests.support.policy_site import PORTAL
from tests.support.smtp_server import Mailbox, html_of, text_of

PI, ANN, BOB = "pi@campus.test", "ann@campus.test", "bob@campus.test"


@pytest.fixture
def site(tmp_path: Path, port: int) -> Site:
    return Site(tmp_path, notify(port))


# What is told, and to whom.


def test_a_person_is_told_that_their_account_is_ready(site: Site, mailbox: Mailbox) -> None:
    served(site, user("ann", uid=2000))
    assert mailbox.subjects(ANN) == ["Your account ann is ready"]


def test_mail_goes_to_the_address_in_the_persons_request(site: Site, mailbox: Mailbox) -> None:
    served(site, user("ann").replace("ann}", "ann, email: ann.lee@home.test}"))
    assert mailbox.subjects("ann.lee@home.test") == ["Your account ann is ready"]


@pytest.mark.parametrize(
    ("known", "asked", "read", "domain", "address"),
    [
        ("a@own.test", "a@asked.test", "a@read.test", "dom.test", "a@own.test"),
        (None, "a@asked.test", "a@read.test", "dom.test", "a@asked.test"),
        (None, "", "a@read.test", "dom.test", "a@read.test"),
        (None, "", "not an address", "dom.test", "ann@dom.test"),
        (None, "", "", None, ""),
        ("", "a@asked.test", "a@read.test", "dom.test", ""),
    ],
)
def test_the_first_address_that_is_known_counts(
    site: Site, known: str | None, asked: str, read: str, domain: str | None, address: str
) -> None:
    email = f", email: {asked}" if asked else ""
    site.request(user("ann", uid=2000).replace("ann,", f"ann{email},"))
    own = {} if known is None else {"ann": known}
    settings = MailConfig(server="x", sender="x@y", domain=domain, addresses=own)
    with site.system.journal.reading() as conn:
        found = Addresses(settings, lambda instance, state: {"mail": read}).of(conn, "ann")
    assert found == address


def test_leader_and_users_learn_what_an_allocation_is(site: Site, mailbox: Mailbox) -> None:
    served(site, project(7, "ann", "bob"))
    assert mailbox.subjects(PI) == mailbox.subjects(ANN) == mailbox.subjects(BOB)
    [mail] = mailbox.to(PI)
    assert "allocation 7 of your project is ready" in text_of(mail)
    assert "Quota:         5 TiB" in text_of(mail)
    assert "<td>5 TiB</td>" in html_of(mail)


def test_a_leader_hears_of_accounts_in_their_project(site: Site, mailbox: Mailbox) -> None:
    served(site, project(7, "ann"), user("ann", uid=2000))
    assert "The account ann of your project is ready" in mailbox.subjects(PI)


def test_who_joins_and_who_leaves_is_told(site: Site, mailbox: Mailbox) -> None:
    served(site, project(7, "ann"))
    join, leave = (membership(7, "bob", verb).replace("cf}", "cf7}") for verb in ("add", "remove"))
    served(site, join)
    served(site, leave)
    assert mailbox.subjects(BOB) == ["cf7 on one is ready", "Your access to cf7 on one has ended"]
    assert len(mailbox.to(ANN)) == len(mailbox.to(PI)) == 1


def test_whom_a_newer_request_leaves_out_is_told_and_again_when_they_are_back(
    site: Site, mailbox: Mailbox
) -> None:
    served(site, project(7, "ann", "bob"))
    served(site, project(7, "ann"))
    served(site, project(7, "ann", "bob"))
    assert mailbox.subjects(BOB) == [
        "cf7 on one is ready", "Your access to cf7 on one has ended", "cf7 on one is ready",
    ]  # fmt: skip
    assert len(mailbox.to(ANN)) == 1


def test_a_suspended_person_is_told_and_told_when_it_is_over(site: Site, mailbox: Mailbox) -> None:
    served(site, user("ann", uid=2000))
    served(site, user("ann", "suspend"))
    served(site, user("ann", "resume"))
    assert mailbox.subjects(ANN)[1:] == [
        "Your account ann was suspended", "Your account ann is ready again",
    ]  # fmt: skip


def test_who_is_suspended_is_not_told_that_an_allocation_is_ready(
    site: Site, mailbox: Mailbox
) -> None:
    served(site, user("ann", uid=2000), user("ann", "suspend", cause="security"))
    served(site, project(7, "ann", "bob"))
    served(site, allocation(7, verb="suspend"), allocation(7, verb="resume"))
    assert "cf7 on one is ready" not in mailbox.subjects(ANN)
    assert mailbox.subjects(BOB)[0] == "cf7 on one is ready"


def test_only_the_leader_hears_of_another_quota(site: Site, mailbox: Mailbox) -> None:
    served(site, project(7, "ann"))
    served(site, project(7, "ann", files=6))
    assert mailbox.subjects(PI) == ["cf7 on one is ready", "cf7 on one has changed"]
    assert len(mailbox.to(ANN)) == 1


def test_operators_and_who_asked_are_told_of_a_refusal(tmp_path: Path, port: int) -> None:
    portal = POLICY + "  portals: [uid-4711]\n"
    site = Site(tmp_path, notify(port) + portal)
    with smtp_server.serving(port) as mailbox:
        line = {**entry(3, "ann"), "on_behalf_of": "bob"}
        line["allocation"]["resource"] = "oen"
        ask(site, line)
        tell(site)
    assert mailbox.subjects(BOB) == ["Refused: allocation.provision of allocation:3"]
    [mail] = mailbox.to(OPERATORS)
    assert "allocation.resource: there is no resource 'oen'" in text_of(mail)
    assert "provisioner show" in text_of(mail)


def test_who_may_ask_for_nothing_gets_no_mail(tmp_path: Path, port: int) -> None:
    site = Site(tmp_path, notify(port) + POLICY)
    with smtp_server.serving(port) as mailbox:
        ask(site, entry(3, "ann"), uid=PORTAL + 1)
        tell(site)
    assert {mail["X-Envelope-To"] for mail in mailbox.mails} <= {OPERATORS}


# Once, and only what is news.


def test_the_same_again_mails_nobody(site: Site, mailbox: Mailbox) -> None:
    served(site, user("ann", uid=2000), project(7, "ann"))
    before = len(mailbox.mails)
    served(site, user("ann", uid=2000), project(7, "ann"))
    assert before == len(mailbox.mails) == 4


def test_the_same_failure_is_told_once_a_day(site: Site, mailbox: Mailbox) -> None:
    served(site, wrong(7), wrong(7))
    assert len(mailbox.to(OPERATORS)) == 1
    site.request(wrong(7))
    tell(site, time.time() + 86401.0)
    told = [subject for subject in mailbox.subjects(OPERATORS) if subject.startswith("Refused")]
    assert len(told) == 2


def test_what_failed_again_after_it_worked_is_news(site: Site, mailbox: Mailbox) -> None:
    served(site, wrong(7))
    served(site, project(7))
    served(site, wrong(7))
    assert len(mailbox.to(OPERATORS)) == 2


def test_a_manifest_mails_nobody_unless_the_site_says_so(tmp_path: Path, port: int) -> None:
    for number, more in enumerate(("", "  manifests: true\n")):
        root = tmp_path / str(number)
        root.mkdir()
        site = Site(root, notify(port, more) + POLICY)
        with smtp_server.serving(port) as mailbox:
            reconcile(site, entry(1, "ann"), entry(2, "ann", "bob"))
            tell(site)
            assert bool(mailbox.mails) == bool(number)
            ask(site, entry(1, "ann"))
            tell(site)
            assert len(mailbox.to(ANN)) == 2 * number


def test_no_name_of_a_manifest_mails_anybody(tmp_path: Path, port: int, mailbox: Mailbox) -> None:
    site = Site(tmp_path, notify(port) + POLICY)
    for lines in ([entry(1, "ann"), entry(2, "bob")], [entry(2, "bob")]):
        reconcile(site, *lines, name="ended-5.json")
        tell(site)
    assert not mailbox.mails


def test_what_was_there_before_mail_was_switched_on_is_not_told(tmp_path: Path, port: int) -> None:
    site = Site(tmp_path)
    site.request(project(7, "ann"))
    (tmp_path / "provisioner.yaml").write_text(
        (tmp_path / "provisioner.yaml").read_text() + notify(port)
    )
    with smtp_server.serving(port) as mailbox:
        site.config = load(tmp_path / "provisioner.yaml")
        site.start()
        tell(site)
        served(site, project(7, "ann", "bob"))
    assert mailbox.subjects(ANN) == []
    assert mailbox.subjects(BOB) == ["cf7 on one is ready"]


# A server that does not do its part.


def test_a_server_that_is_down_gets_the_mail_later(site: Site, port: int) -> None:
    served(site, user("ann", uid=2000))
    [waiting] = queue(site, MessageState.WAITING)
    assert "Connection refused" in str(waiting.error)
    with smtp_server.serving(port) as mailbox:
        tell(site)
    [mail] = mailbox.to(ANN)
    assert waiting.id in mail["Message-ID"]


@pytest.mark.parametrize("dribbles", [False, True])
def test_a_server_that_hangs_keeps_nothing_waiting_for_long(tmp_path: Path, dribbles: bool) -> None:
    with smtp_server.hanging(dribbles=dribbles) as port:
        site = Site(tmp_path, notify(port, patience=0.3))
        served(site, *(user(name, uid=2000) for name in ("ann", "bob", "eve")))
        assert site.states()["done"] == ["r0.yaml", "r1.yaml", "r2.yaml"]
        assert {m.state for m in queue(site)} == {MessageState.WAITING}
        [said] = {m.error for m in queue(site)}
        assert "in time" in str(said) or "not done after 0.9 s" in str(said)


@pytest.mark.parametrize("others", [("bob",), ("bob", "eve")])
def test_an_address_at_which_the_server_is_slow_delays_no_other(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture, others: tuple[str, ...]
) -> None:
    site = Site(tmp_path, notify(port, patience=0.3))
    with smtp_server.serving(port) as mailbox:
        mailbox.slow = {ANN: 2.0}
        served(site, *(user(name, uid=2000) for name in ("ann", *others)))
        assert len(mailbox.to(BOB)) == 1
        [waiting] = queue(site, MessageState.WAITING)
        assert (waiting.person, waiting.attempts) == ("ann", 1)
    assert not any("in a row" in message for message in caplog.messages)


def test_a_mail_that_was_sent_just_before_a_kill_is_sent_again_under_its_id(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Session.send

    def sends_and_dies(*arguments: Any) -> None:
        send(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Session, "send", sends_and_dies)
        with pytest.raises(Killed):
            served(site, user("ann", uid=2000))
    site.start()
    tell(site)
    first, second = mailbox.to(ANN)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


def test_a_recipient_who_is_refused_for_good_delays_no_other(site: Site, mailbox: Mailbox) -> None:
    mailbox.refuses = {ANN: "550 no such user\x1b[31m here"}
    served(site, project(7, "ann", "bob"))
    assert len(mailbox.to(BOB)) == len(mailbox.to(PI)) == 1
    [given_up] = queue(site, MessageState.GIVEN_UP)
    assert (given_up.person, str(given_up.error)[:16]) == ("ann", "550 no such user")
    assert str(given_up.error).isprintable()


def test_a_recipient_who_is_put_off_is_tried_again_and_given_up_in_the_end(
    tmp_path: Path, port: int
) -> None:
    site = Site(tmp_path, notify(port, "  give_up: 3600\n"))
    with smtp_server.serving(port) as mailbox:
        mailbox.refuses = {ANN: "451 busy"}
        served(site, user("ann", uid=2000))
        [waiting] = queue(site, MessageState.WAITING)
        assert waiting.attempts == 1
        assert waiting.due > time.time() + 20
        with site.system.journal.transaction() as conn:
            conn.exec_driver_sql("UPDATE messages SET due = 0, made = made - 3601")
        tell(site)
    [given_up] = queue(site, MessageState.GIVEN_UP)
    assert given_up.error == "451 busy"


def test_who_has_no_address_is_named_in_the_queue(tmp_path: Path, port: int) -> None:
    text = notify(port).replace("    domain: campus.test\n", "")
    site = Site(tmp_path, text)
    served(site, user("ann", uid=2000))
    [given_up] = queue(site)
    assert (given_up.state, given_up.error) == ("given up", "there is no address for ann")


def test_an_outcome_that_cannot_be_read_keeps_no_later_one_from_people(
    site: Site, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(state: Any) -> Any:
        raise RuntimeError("a fault of the handler")

    site.request(user("ann", uid=2000))
    with monkeypatch.context() as patch:
        patch.setattr(site.system.handlers["first"], "outputs", broken)
        tell(site)
    served(site, user("bob", uid=2001))
    assert mailbox.subjects(ANN) == []
    assert mailbox.subjects(BOB) == ["Your account bob is ready"]


def test_a_message_that_cannot_be_made_keeps_no_other_one_from_people(
    tmp_path: Path, port: int
) -> None:
    site = Site(tmp_path, notify(port, "  give_up: 3600\n"))
    served(site, user("ann", uid=2000))
    served(site, user("bob", uid=2001))
    with site.system.journal.transaction() as conn:
        conn.exec_driver_sql("UPDATE messages SET due = 0")
        conn.exec_driver_sql("UPDATE messages SET facts = '[1]' WHERE person = 'ann'")
    site.start()
    with smtp_server.serving(port) as mailbox:
        tell(site)
        assert mailbox.subjects(BOB) == ["Your account bob is ready"]
        [waiting] = queue(site, MessageState.WAITING)
        assert (waiting.person, waiting.error is not None) == ("ann", True)
        with site.system.journal.transaction() as conn:
            conn.exec_driver_sql("UPDATE messages SET due = 0, made = made - 3601")
        tell(site)
    assert [given_up.person for given_up in queue(site, MessageState.GIVEN_UP)] == ["ann"]


# Storms.


def test_a_storm_is_one_mail(site: Site, mailbox: Mailbox) -> None:
    for number in range(30):
        site.drop(wrong(number), f"{number}.yaml")
    tell(site)
    [mail] = mailbox.to(OPERATORS)
    assert mail["Subject"] == "test: 30 messages in one"
    assert text_of(mail).count("refused") == 30
    assert len(queue(site, MessageState.MERGED)) == 30


def test_what_comes_after_the_hours_limit_waits_and_goes_together(
    site: Site, mailbox: Mailbox
) -> None:
    for number in range(15):
        site.request(wrong(number))
        tell(site)
    assert len(mailbox.to(OPERATORS)) == 10
    tell(site, time.time() + 3601.0)
    later = mailbox.subjects(OPERATORS)[10:]
    assert [subject for subject in later if "need a person" not in subject] == [
        f"Refused: allocation.provision of allocation:{number}" for number in range(10, 15)
    ]  # but for the digest, if the hour that passed has seven o'clock in it


# Untrusted text.


def test_text_of_a_request_is_escaped_and_reaches_no_header(site: Site, mailbox: Mailbox) -> None:
    served(site, project(7, "ann", title="<script>alert(1)</script>"))
    name = "x\nBcc: victim@example.org\n\x1b[2J.yaml"
    site.request("provisioner: 1\naction: user.provisio\n", name)
    tell(site)
    [mail] = mailbox.to(PI)
    assert "<script>" not in html_of(mail)
    assert "&lt;script&gt;" in html_of(mail)
    [refused] = mailbox.to(OPERATORS)
    assert refused["Bcc"] is None
    assert "\x1b" not in text_of(refused)


# Switched off.


def test_without_configuration_the_journal_gets_no_messages(tmp_path: Path) -> None:
    site = Site(tmp_path)
    served(site, user("ann", uid=2000), wrong(7))
    assert queue(site) == []


def test_what_waits_is_given_up_when_mail_is_switched_off(site: Site, tmp_path: Path) -> None:
    served(site, user("ann", uid=2000))
    site.config = site.config.model_copy(
        update={"notify": site.config.notify.model_copy(update={"mail": None})}
    )
    site.start()
    [given_up] = queue(site)
    assert given_up.error == "it is no longer configured"
