"""People who use nothing: warned, closed by a request of the service's, and opened again."""

from __future__ import annotations

import json
import time
from email import message_from_bytes
from pathlib import Path

import pytest

from provisioner.config import schema
from provisioner.idle.decide import Step
from provisioner.objects.states import MessageState
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, control, membership, user
from tests.support.idle_site import (
    DAY,
    config,
    idle_site,
    leave,
    live,
    newest,
    reasons,
    seen,
    to_a_closing,
    walk,
    warnings,
)
from tests.support.mail_site import queue, tell
from tests.support.smtp_server import Mailbox, text_of


def loaded(root: Path, text: str) -> schema.Config:
    (root / "provisioner.yaml").write_text(text)
    return schema.load(root / "provisioner.yaml")


def mails(site: Site, to: str, subject: str) -> int:
    """Count the mails to somebody about something."""
    read = [message_from_bytes(p.read_bytes()) for p in (site.root / "mail").iterdir()]
    return sum(m["To"] == to and subject in " ".join(str(m["Subject"]).split()) for m in read)


@pytest.fixture
def site(tmp_path: Path, clocks: Clocks) -> Site:
    return idle_site(tmp_path)


def test_who_uses_nothing_is_warned_three_times_and_then_closed(site: Site, clocks: Clocks) -> None:
    leave(site)
    live(site, clocks, 150, step=50)
    assert warnings(site) == []
    live(site, clocks, 31)
    assert warnings(site) == [30, 7, 1]
    assert reasons(site, "ann") == []
    live(site, clocks, 3)
    assert reasons(site, "ann") == ["root: idle"]
    assert reasons(site, "bob") == []
    assert site.limit("first/account/ann") == "0"
    closing = newest(site, "idle-ann.json")
    assert (closing.state, closing.action) == ("done", "user.suspend")
    assert mails(site, "ann@campus.test", "because it is not used") == 3


def test_a_use_between_two_warnings_clears_them(site: Site, clocks: Clocks) -> None:
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 20)
    assert warnings(site) == [30]
    leave(site)
    live(site, clocks, 140, step=20)
    assert (warnings(site), reasons(site, "ann")) == ([30], [])
    live(site, clocks, 20)
    assert warnings(site) == [30, 30]


def to_the_end(site: Site, clocks: Clocks) -> None:
    """Let ann be closed."""
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 34)


def test_an_operator_opens_who_was_closed_and_they_stay_open(site: Site, clocks: Clocks) -> None:
    to_the_end(site, clocks)
    site.request(user("ann", "resume", cause="idle"), "back.yaml")
    assert site.limit("first/account/ann") == "7"
    live(site, clocks, 10)
    assert (reasons(site, "ann"), warnings(site)) == ([], [30, 7, 1])
    live(site, clocks, 142, step=71)
    assert warnings(site) == [30, 7, 1, 30]


def test_a_source_that_may_opens_who_is_seen_again(tmp_path: Path, clocks: Clocks) -> None:
    site = Site(tmp_path, config(tmp_path, source=", reopens: true"))
    site.request(user("ann", uid=7), "ann.yaml")
    to_the_end(site, clocks)
    assert reasons(site, "ann") == ["root: idle"]
    clocks.go(2 * DAY)
    leave(site)
    live(site, clocks, 1)
    assert reasons(site, "ann") == []
    assert site.limit("first/account/ann") == "7"


def test_a_use_that_opens_nobody_leaves_them_closed(site: Site, clocks: Clocks) -> None:
    to_the_end(site, clocks)
    leave(site)
    live(site, clocks, 2)
    assert reasons(site, "ann") == ["root: idle"]


BROKEN = {
    "it fails": "#!/bin/sh\necho 'bob\t2020-01-01'\necho no database >&2\nexit 3\n",
    "it prints a part of a line": "#!/bin/sh\nprintf 'bob\\t20'\n",
    "it prints nothing": "#!/bin/sh\n",
    "it names nobody who is known": "#!/bin/sh\nprintf 'bob@CAMPUS.TEST\\t2026-11-29\\n'\n",
    "it is not there": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_source_in_doubt_closes_nobody_and_operators_are_told_once(
    site: Site, clocks: Clocks, name: str
) -> None:
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 30)
    text = BROKEN[name]
    if text is None:
        (site.root / "homes").unlink()
    else:
        (site.root / "homes").write_text(text)
    for _ in range(5):
        clocks.go(DAY)
        walk(site)
    assert reasons(site, "ann") == []
    assert mails(site, "ops@campus.test", "in doubt") == 1


def test_a_source_may_write_names_with_capital_letters(site: Site, clocks: Clocks) -> None:
    for _ in range(4):
        clocks.go(70 * DAY)
        seen(site.root, ANN=0, Bob=0)
        walk(site)
    people = site.service.house.idle.walk(time.time()).people
    assert [(p.name, p.use is not None, p.step) for p in people] == [
        ("ann", True, Step.NONE),
        ("bob", True, Step.NONE),
    ]


def test_more_people_than_the_cap_close_nobody(tmp_path: Path, clocks: Clocks) -> None:
    site = Site(tmp_path, config(tmp_path).replace("cap: 2", "cap: 1"))
    for name in ("bob", "cat", "dan"):
        site.request(user(name, uid=7), f"{name}.yaml")
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 36)
    assert [reasons(site, name) for name in ("cat", "dan")] == [[], []]
    [last] = [m for m in queue(site) if m.event == "idle_stopped"]
    assert "2 people would be closed, more than the 1" in last.facts["idle"]["problems"][0]


def test_whom_no_mail_reaches_is_not_closed(tmp_path: Path, clocks: Clocks) -> None:
    text = config(tmp_path).replace("    digest", '    addresses: {ann: ""}\n    digest')
    site = Site(tmp_path, text)
    site.request(user("ann", uid=7), "ann.yaml")
    to_the_end(site, clocks)
    assert (warnings(site), reasons(site, "ann")) == ([30, 7, 1], [])
    assert {m.state for m in queue(site) if m.event == "idle_warning"} == {MessageState.GIVEN_UP}


@pytest.mark.parametrize(
    ("refuses", "closed"), [({}, True), ({"course@campus.test": "550 no such mailbox"}, False)]
)
def test_a_warning_in_a_summary_was_taken_if_the_summary_was(
    tmp_path: Path,
    clocks: Clocks,
    port: int,
    mailbox: Mailbox,
    refuses: dict[str, str],
    closed: bool,
) -> None:
    course = "    addresses: {ann: course@campus.test, cat: course@campus.test}\n"
    text = config(tmp_path).replace("directory: mail", f"server: 127.0.0.1:{port}")
    site = Site(tmp_path, text.replace("    digest", f"{course}    per_recipient: 1\n    digest"))
    for name in ("ann", "bob", "cat"):
        site.request(user(name, uid=7), f"{name}.yaml")
    tell(site)
    mailbox.mails.clear()
    mailbox.refuses.update(refuses)
    clocks.go(148 * DAY)
    for _ in range(36):
        clocks.go(DAY)
        seen(tmp_path, bob=0.0)
        walk(site)
    assert [bool(reasons(site, name)) for name in ("ann", "cat")] == [closed, closed]
    warned = [m for m in queue(site) if m.event == "idle_warning" and m.summary is not None]
    days = [m.facts["idle"]["closes"] for m in warned]
    said = "".join(text_of(mail) for mail in mailbox.to("course@campus.test"))
    assert [f"closed on {day}" in said for day in days] == [closed] * 6


def test_a_closing_that_is_cancelled_counts_as_a_use(site: Site, clocks: Clocks) -> None:
    to_a_closing(site, clocks)
    site.take()
    site.request(control("request.cancel", newest(site, "idle-ann.json").id), "cancel.yaml")
    live(site, clocks, 3)
    assert (reasons(site, "ann"), newest(site, "idle-ann.json").state) == ([], "cancelled")


def test_a_closing_that_is_lifted_while_it_waits_counts_as_a_use(
    site: Site, clocks: Clocks
) -> None:
    to_a_closing(site, clocks)
    site.first.away = True
    site.take()
    site.drop(user("ann", "resume", cause="idle"), "back.yaml")
    site.back(site.first)
    assert newest(site, "idle-ann.json").state == "superseded"
    live(site, clocks, 3)
    assert (reasons(site, "ann"), warnings(site)) == ([], [30, 7, 1])


def test_a_closing_that_is_judged_after_a_use_is_not_followed(site: Site, clocks: Clocks) -> None:
    to_a_closing(site, clocks)
    assert [path.name for path in site.spool.staging.iterdir()] == ["idle-ann.json"]
    leave(site)
    seen(site.root, ann=0, bob=0)
    site.service.house.idle.walk(time.time())
    site.take()
    site.drain()
    closing = newest(site, "idle-ann.json")
    assert (closing.state, reasons(site, "ann")) == ("superseded", [])


def test_a_closing_that_policy_refuses_is_told_until_somebody_exempts_the_person(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, config(tmp_path))
    site.request(user("ann", uid=7), "ann.yaml")
    text = (tmp_path / "provisioner.yaml").read_text()
    site.config = loaded(tmp_path, text + "policy: {protected: {users: [ann]}}\n")
    site.start()
    to_the_end(site, clocks)
    [problem] = site.service.house.idle.walk(time.time()).problems
    assert problem.startswith("the closing of ann was refused: provisioner show ")
    site.config = loaded(tmp_path, text + "  exempt: {people: [ann]}\n")
    site.start()
    assert site.service.house.idle.walk(time.time()).problems == ()


@pytest.mark.parametrize(
    "exempt", ["people: [ann]", "projects: [CF]"], ids=["a person", "a project"]
)
def test_who_is_exempt_is_neither_warned_nor_closed(
    tmp_path: Path, clocks: Clocks, exempt: str
) -> None:
    site = Site(tmp_path, config(tmp_path, f"  exempt: {{{exempt}}}\n"))
    site.request(user("ann", uid=7), "ann.yaml")
    site.request(membership(1, "ann", "add"), "member.yaml")
    to_the_end(site, clocks)
    assert (reasons(site, "ann"), warnings(site)) == ([], [])


def test_a_name_that_is_exempt_and_that_nobody_has_closes_nobody(
    tmp_path: Path, clocks: Clocks
) -> None:
    site = Site(tmp_path, config(tmp_path, "  exempt: {people: [annn]}\n"))
    site.request(user("ann", uid=7), "ann.yaml")
    to_the_end(site, clocks)
    assert (reasons(site, "ann"), warnings(site)) == ([], [])
    [last] = [m for m in queue(site) if m.event == "idle_stopped"][:1]
    assert "did you mean 'ann'?" in json.dumps(last.facts["idle"]["problems"])


def test_who_is_new_is_not_idle(site: Site, clocks: Clocks) -> None:
    live(site, clocks, 180, step=60)
    site.request(user("eve", uid=7), "eve.yaml")
    live(site, clocks, 140, step=35)
    assert not [m for m in queue(site) if m.person == "eve" and m.event == "idle_warning"]
