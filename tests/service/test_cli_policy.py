"""Policy as the command line tells it: to who checks a request, and to who looks at a held one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.submitting import describe
from provisioner.objects.states import RequestState
from provisioner.request.documents import parse
from tests.support.cli_site import Desk, Done, of_user, user
from tests.support.records import a_request

NOBODY = 65534

POLICY = """\
policy:
  rules:
  - {who: ["@nogroup"], actions: [user.provision], new_users: 0, review: false}
  - {who: [nobody], actions: [user.*], review: true}
  - {who: [daemon], actions: ["*"], others: true}
"""


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Have a sandbox that others than root can look at, where nobody's request is held."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        desk = Desk(Path(root, "site"))
        desk.root.chmod(0o755)
        desk.config.write_text(desk.config.read_text() + POLICY)
        desk.config.chmod(0o644)
        desk.spool.joinpath("staging").chmod(0o1733)
        path = desk.root / "mine.yaml"
        path.write_text(of_user("suspend", "ann"))
        path.chmod(0o600)
        os.chown(path, NOBODY, -1)
        path.rename(desk.spool / "staging/mine.yaml")
        desk("run", "--drain")
        desk("submit", "-", stdin=user("roots").encode())
        yield desk


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be another user for a while, as far as files are concerned."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def check(desk: Desk, text: str, *words: str, code: int = 0) -> Done:
    with as_nobody():
        return desk("check", "-", *words, stdin=text.encode(), code=code)


# check.


def test_who_may_send_a_request_is_told_so(desk: Desk) -> None:
    desk.set("new_users: 0", "new_users: 1")
    assert check(desk, user("ann")).out.startswith("this request is correct\n")
    desk.set("new_users: 1", "new_users: 0")


def test_who_may_not_is_told_why_and_what_to_do(desk: Desk) -> None:
    lane = "provisioner: 1\naction: lane.pause\nlane: slurm\n"
    said = check(desk, lane, code=3).out
    assert "nobody may not ask for lane.pause; they may ask for user.provision, user.*" in said
    assert "expected ask root or daemon to send it" in said
    [problem] = check(desk, lane, "--json", code=3).json
    assert problem["message"].startswith("nobody may not ask for lane.pause")


def test_who_would_be_held_is_told_for_whom_it_waits(desk: Desk) -> None:
    held = "it would be held: user.suspend by nobody must be reviewed; it waits for a release by"
    assert (
        f"{held} one of root, daemon, but not by nobody" in check(desk, of_user("suspend", "x")).out
    )
    told = check(desk, of_user("suspend", "x"), "--json")
    assert told.json == []
    assert held in told.err


def test_who_may_not_read_the_journal_is_told_what_was_not_looked_at(desk: Desk) -> None:
    (desk.root / "journal").chmod(0o700)
    assert "not checked, because you may not read the journal" in check(desk, user("ann")).out
    assert desk("check", "-", stdin=user("ann").encode()).out == "this request is correct\n"


def test_a_protected_name_is_told_to_root_too(desk: Desk) -> None:
    assert "root is protected" in desk("check", "-", stdin=user("root").encode(), code=3).out


# queue and show.


def test_the_queue_and_show_say_why_a_request_is_held_and_who_may_release_it(desk: Desk) -> None:
    [row] = [one for one in desk("queue", "--json").json["requests"] if one["state"] == "held"]
    assert row["held"] == {
        "why": "by the policy: user.suspend by nobody must be reviewed",
        "release": ["root", "daemon"],
        "second": True,
    }
    assert desk.show(row["id"])["held"] == row["held"]
    lines = (
        "held by the policy: user.suspend by nobody must be reviewed",
        f"to release it: provisioner release {row['id']}",
        "may be released by: root, daemon, but not nobody, who sent it",
    )
    assert "".join(f"    {line}\n" for line in lines) in desk("queue").out
    assert "".join(f"# Waits: {line}\n" for line in lines) in desk("show", row["id"]).out


def test_a_receipt_tells_its_writer_that_and_why_it_is_held(desk: Desk) -> None:
    [receipt] = (desk.spool / "receipts/nobody").iterdir()
    assert "state: held" in receipt.read_text()
    assert "must be reviewed" in receipt.read_text()


# A release from the command line.


def held(desk: Desk) -> dict[str, Any]:
    """Return the request that is held."""
    [one] = [one for one in desk("queue", "--json").json["requests"] if one["state"] == "held"]
    return dict(desk.show(one["id"]))


def dropped(desk: Desk) -> Mapping[str, Any]:
    """Take away what a verb dropped; return what it says."""
    [path] = [path for path in (desk.spool / "staging").iterdir() if "release" in path.name]
    document = parse(path.read_bytes()).value
    path.unlink()
    return document


def test_show_says_the_digest_that_a_release_needs(desk: Desk) -> None:
    one = held(desk)
    assert len(one["digest"]) == 64
    assert f"# Digest, for its release: {one['digest']}\n" in desk("show", one["id"]).out


@pytest.mark.parametrize("part", [26, 25], ids=["id", "beginning"])
def test_a_release_says_whose_what_and_which_and_names_what_was_looked_at(
    desk: Desk, part: int
) -> None:
    one = held(desk)
    said = desk("release", one["id"][:part]).out
    assert said.startswith(
        "user.suspend user:ann, asked for by nobody\n"
        f"  {one['id']} with the digest {one['digest']}\n"
        "  changes no object\n"
    )
    asked = dropped(desk)
    assert (asked["request"], asked["digest"]) == (one["id"], one["digest"])


def test_a_release_takes_no_files_name_because_a_newer_file_can_have_it(desk: Desk) -> None:
    one = held(desk)
    said = desk("release", "mine.yaml", code=3).err
    assert "'mine.yaml' is a file's name" in said
    assert f"an id, such as {one['id']}" in said
    desk("release", "mine.yaml", "--digest", one["digest"])
    assert dropped(desk)["request"] == one["id"]


def test_of_a_manifest_it_is_said_who_lists_what_it_changes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    named = f"{{file: a.jsonl, size: 1, sha256: {'a' * 64}}}"
    body = f"provisioner: 1\naction: reconcile\nmanifest: {named}\n".encode()
    describe(a_request(id="01J", action="reconcile", body=body, state=RequestState.HELD))
    assert capsys.readouterr().out.endswith("  what its manifest changes: provisioner show 01J\n")


def test_a_digest_of_something_else_is_not_even_sent(desk: Desk) -> None:
    one = held(desk)
    said = desk("release", one["id"], "--digest", "b" * 64, code=3).err
    assert f"has the digest {one['digest']}, not {'b' * 64}" in said
    assert desk("release", "nosuch", code=3).err.startswith(
        "provisioner: there is no request 'nosuch'"
    )


def test_who_may_not_read_the_journal_releases_by_the_digest_that_they_were_told(
    desk: Desk,
) -> None:
    one = held(desk)
    (desk.root / "journal").chmod(0o700)
    with as_nobody():
        desk("release", one["id"], "--digest", one["digest"])
    asked = dropped(desk)
    assert (asked["request"], asked["digest"]) == (one["id"], one["digest"])


def test_a_release_is_told_in_the_trail_with_who_when_and_why(desk: Desk) -> None:
    [held] = [one for one in desk("queue", "--json").json["requests"] if one["state"] == "held"]
    desk("release", held["id"], "--reason", "seen")
    desk("run", "--drain")
    shown = desk.show(held["id"])
    assert (shown["state"], shown["held"]) == ("done", None)
    assert ("released", "by root: seen") in [(e["kind"], e["text"]) for e in shown["events"]]
    assert desk("audit", "verify").code == 0
