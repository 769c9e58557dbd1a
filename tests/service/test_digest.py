"""Operators get one mail a day with what was done, what waits and what failed."""

from __future__ import annotations

import time
from pathlib import Path

from provisioner.notify.summing import age, last_due
from tests.support import smtp_server
from tests.support.engine_site import Site
from tests.support.mail_site import OPERATORS, notify, project, served, tell, wrong
from tests.support.smtp_server import text_of

DAY = 86400.0


def digests(mailbox: smtp_server.Mailbox) -> list[str]:
    return [text_of(m) for m in mailbox.to(OPERATORS) if "need a person" in m["Subject"]]


def test_a_digest_comes_once_a_day_and_not_on_the_first(tmp_path: Path) -> None:
    port = smtp_server.free_port()
    site = Site(tmp_path, notify(port))
    site.first.missing = {"late"}
    with smtp_server.serving(port) as mailbox:
        tell(site)
        served(site, project(1), wrong(2), wrong(3), project(4, "late"))
        assert digests(mailbox) == []
        for later in (DAY, DAY + 60, DAY + 120):
            tell(site, time.time() + later)
        [text] = digests(mailbox)
    assert "Done:            1" in text
    assert "Now deferred:    1" in text
    assert "2 x wrong allocation.resource" in text
    assert "about: allocation:2, allocation:3" in text
    assert "The oldest that waits: allocation.provision of allocation:4" in text
    assert "provisioner retry --cause" in text


def test_no_time_means_no_digest(tmp_path: Path) -> None:
    port = smtp_server.free_port()
    site = Site(tmp_path, notify(port).replace("    timeout", "    digest: ''\n    timeout"))
    with smtp_server.serving(port) as mailbox:
        for later in (0.0, DAY, 2 * DAY):
            tell(site, time.time() + later)
        assert mailbox.mails == []


def test_a_digest_is_due_at_its_local_time() -> None:
    for hour, days in ((6, 1), (7, 0), (23, 0)):
        now = time.mktime((2026, 11, 29, hour, 30, 0, 0, 0, -1))
        due = time.localtime(last_due("07:00", now))
        assert (due.tm_mday, due.tm_hour, due.tm_min) == (29 - days, 7, 0)


def test_an_age_is_told_in_its_largest_unit() -> None:
    told = [age(seconds) for seconds in (5, 60, 7200, 90000, 3 * DAY)]
    assert told == ["less than a minute", "1 minute", "2 hours", "1 day", "3 days"]
