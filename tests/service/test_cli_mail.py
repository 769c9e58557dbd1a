"""`provisioner mail` and what `doctor` and `config check` say of mail, on a sandbox."""

from __future__ import annotations

import time
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.support import smtp_server
from tests.support.cli_site import Desk, clean, storage, user
from tests.support.smtp_server import text_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "box")


def by_server(desk: Desk, server: str) -> None:
    """Let a server take the mails that a sandbox writes as files."""
    desk.set("    directory: mail\n", f"    server: {server}\n    timeout: 30\n")


def levels(desk: Desk, subject: str) -> dict[str, str]:
    """Return what doctor says of a subject: message -> level."""
    findings = desk("doctor", "--json", code=None).json
    return {f["message"]: f["level"] for f in findings if f["subject"] == subject}


def test_a_sandbox_writes_each_mail_into_a_file(desk: Desk) -> None:
    desk.serve(user("jdoe"), storage())
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in sorted((desk.root / "mail").iterdir())
    ]
    [place] = [text_of(mail) for mail in mails if "hpc-storage is ready" in mail["Subject"]]
    assert f"Directory:     {desk.root}/gpfs/fs1/cf1" in place
    assert "Quota:         1 TiB" in place
    assert desk("mail", "queue").out == "2 sent\n"


def test_a_running_service_sends_what_happens_without_being_asked(desk: Desk) -> None:
    with smtp_server.serving(port := smtp_server.free_port()) as mailbox:
        by_server(desk, f"127.0.0.1:{port}")
        with desk.service():
            desk("submit", "-", "--wait", stdin=user("jdoe").encode())
            deadline = time.monotonic() + 30
            while not mailbox.mails and time.monotonic() < deadline:
                time.sleep(0.1)
    assert mailbox.subjects("jdoe@campus.test") == ["Your account jdoe is ready"]


def test_the_queue_says_what_waits_and_why(desk: Desk) -> None:
    by_server(desk, f"127.0.0.1:{smtp_server.free_port()}")
    desk.serve(user("jdoe"))
    out = desk("mail", "queue").out
    assert "waiting" in out
    assert "jdoe@campus.test: account ready about user:jdoe" in out
    assert "Connection refused" in out
    [message] = desk("mail", "queue", "--json").json["messages"]
    # The server was away: this message itself was not tried.
    assert (message["person"], message["attempts"]) == ("jdoe", 0)
    assert any("tried in vain" in said for said in levels(desk, "mail"))


def test_the_queue_says_that_an_address_got_its_mails_of_an_hour(desk: Desk) -> None:
    desk.set("    directory: mail\n", "    directory: mail\n    per_recipient: 1\n")
    desk.serve(user("jdoe"))
    desk.serve(storage())
    with desk.service():
        out = desk("mail", "queue").out
    assert "its address got 1 mail within an hour (per_recipient); room in" in out


def test_what_was_sent_is_listed_when_asked_for(desk: Desk) -> None:
    desk.serve(user("jdoe"))
    assert "sent" in desk("mail", "queue", "--sent").out
    assert [m["state"] for m in desk("mail", "queue", "--sent", "--json").json["messages"]] == [
        "sent"
    ]


def test_a_preview_shows_every_mail_of_a_template(desk: Desk) -> None:
    out = desk("mail", "preview", "allocation_ready").out
    assert "To:      asmith (pi)" in out
    assert "sbatch -A cf0003" in out
    assert desk("mail", "preview", "digest", "--html").out.startswith("<!DOCTYPE html>")
    assert "did you mean 'digest'?" in desk("mail", "preview", "digset", code=3).err


def test_a_mistake_in_a_sites_template_is_told_with_its_line(desk: Desk) -> None:
    (desk.root / "own/mail").mkdir(parents=True)
    (desk.root / "own/mail/digest.txt.j2").write_text("Subject: x\n\n{{ digest.dine }}\n")
    desk.set("spool: spool\n", "spool: spool\ntemplates: [own]\n")
    for words in (("config", "check"), ("mail", "preview", "digest")):
        assert "own/mail/digest.txt.j2, line 3" in desk(*words, code=4).err
    assert "error" in levels(desk, "mail").values()
    desk.serve(user("jdoe"))  # nobody who asks has to wait for the template
    assert desk("status", "user:jdoe").code == 0


def test_doctor_asks_the_server_and_looks_up_the_hook(desk: Desk) -> None:
    assert set(levels(desk, "mail").values()) == {"ok"}
    desk.set("notify:\n", "notify:\n  hook: {program: [/usr/bin/no-such-hook]}\n")
    with smtp_server.serving(port := smtp_server.free_port()):
        by_server(desk, f"127.0.0.1:{port}")
        assert levels(desk, "mail")[f"127.0.0.1:{port} takes mail"] == "ok"
    assert "error" in levels(desk, "mail").values()
    assert levels(desk, "hook") == {"/usr/bin/no-such-hook does not exist": "error"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    directory: mail\n", "", "exactly one of: server, directory"),
        ("sender: hpc@campus.test", "sender: HPC <hpc>", "must be a mail address"),
        ("    domain", "    digest: 7am\n    domain", "must be a time such as 07:00"),
        ("    directory: mail\n", "    server: smtp://x\n", "must be HOST or HOST:PORT"),
        ("    domain", "    user: me\n    domain", "needs `user` and `password` together"),
        ("notify:\n", "notify:\n  events: [acount_ready]\n", "account_ready"),
    ],
)
def test_a_wrong_option_is_told_at_config_check(desk: Desk, old: str, new: str, told: str) -> None:
    desk.set(old, new)
    assert told in desk("config", "check", code=4).err


def test_what_a_server_says_cannot_steer_a_terminal(desk: Desk) -> None:
    with smtp_server.serving(port := smtp_server.free_port()) as mailbox:
        by_server(desk, f"127.0.0.1:{port}")
        mailbox.refuses = {"jdoe@campus.test": "550 no\x1b[31m such \x07user"}
        desk.serve(user("jdoe"))
    out = desk("mail", "queue").out
    assert "550 no" in out
    assert clean(out)
