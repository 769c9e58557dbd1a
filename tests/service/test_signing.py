"""The command line signs requests, and gives each an end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioner.cli import signing
from provisioner.contract import Refused
from tests.support.cli_site import Desk, sample
from tests.support.cli_site import user as cli_user
from tests.support.engine_site import user
from tests.support.signing_site import EXPIRES, allow, make_key
from tests.support.waiting import until


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give the command line of a site that takes root's signed requests only."""
    made = Desk(tmp_path / "desk")
    allow(made.root, root=make_key(made.root, "key"))
    made.config.write_text(
        f"{made.config.read_text()}policy:\n"
        "  signatures: {allowed_signers: signers, required: true}\n"
    )
    return made


def test_a_request_is_signed_by_the_command_line(desk: Desk) -> None:
    desk("submit", desk.file("r.yaml", cli_user("ann")), "--sign", str(desk.root / "key"))
    desk("run", "--drain", "--patience", "2")
    [ended] = desk("queue", "--ended", "5", "--json").json["ended"]
    assert (ended["state"], ended["writer"]) == ("done", "root")
    assert list((desk.spool / "staging").iterdir()) == []


def test_each_verb_is_signed_by_the_command_line(desk: Desk) -> None:
    desk.break_off("slurm")
    sign_with = ("--sign", str(desk.root / "key"))
    desk("submit", sample("compute.yaml"), *sign_with)
    desk("run", "--drain", "--patience", "0.2", code=None)
    [one] = desk("queue", "--json").json["requests"]
    for verb in ("hold", "release", "cancel", "retry"):
        desk(verb, one["id"], *sign_with)
    for verb in ("pause", "unpause"):
        desk(verb, "slurm", *sign_with)
    desk("run", "--drain", "--patience", "0.2", code=None)
    ended = desk("queue", "--ended", "9", "--json").json["ended"]
    assert sorted((one["action"], one["state"]) for one in ended) == [
        ("lane.pause", "done"),
        ("lane.unpause", "done"),
        ("request.cancel", "done"),
        ("request.hold", "done"),
        ("request.release", "done"),
        ("request.retry", "done"),
    ]


def test_without_a_key_nothing_is_dropped_and_it_is_said_what_to_do(desk: Desk) -> None:
    for words in (("submit", sample("user-jdoe.yaml")), ("pause", "slurm")):
        said = desk(*words, code=3).err
        assert "this site requires signed requests" in said
        assert "--sign KEY" in said and "PROVISIONER_SIGN=KEY" in said
    assert list((desk.spool / "staging").iterdir()) == []


def test_a_key_that_cannot_sign_is_told_in_the_words_of_ssh_keygen(desk: Desk) -> None:
    said = desk("pause", "slurm", "--sign", "/nowhere", code=4).err
    assert "cannot sign with /nowhere" in said and "No such file" in said
    assert list((desk.spool / "staging").iterdir()) == []


def test_the_environment_may_name_a_key_that_ssh_agent_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = str(desk.root / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        until(Path(socket).exists, "the agent listens")
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        key = desk.root / "key"
        subprocess.run(["ssh-add", "-q", key], check=True)
        key.unlink()
        monkeypatch.setenv("PROVISIONER_SIGN", str(key.with_suffix(".pub")))
        desk("pause", "slurm")
        agent.terminate()
    desk("run", "--drain", "--patience", "2")
    [ended] = desk("queue", "--ended", "5", "--json").json["ended"]
    assert (ended["action"], ended["state"]) == ("lane.pause", "done")


def test_a_site_that_takes_no_signatures_gets_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    desk("pause", "slurm", "--sign", "/nowhere")
    assert [path.name for path in (desk.spool / "staging").iterdir()] == ["pause.yaml"]


@pytest.mark.parametrize(
    ("text", "longer"),
    [
        (user("ann"), user("ann") + "expires: 2033-05-18T03:33:20Z\n"),
        ("# why\n" + user("ann").rstrip(), f"# why\n{user('ann')}expires: 2033-05-18T03:33:20Z\n"),
        (
            '{"provisioner": 1, "action": "user.provision", "user": {"name": "ann"}}',
            '{"expires": "2033-05-18T03:33:20Z", "provisioner": 1, "action": "user.provision", '
            '"user": {"name": "ann"}}',
        ),
        (EXPIRES + user("ann"), EXPIRES + user("ann")),
        ("no request", "no request"),
    ],
)
def test_a_request_that_is_signed_is_given_an_end(text: str, longer: str) -> None:
    assert signing.ending(text.encode(), 2_000_000_000).decode() == longer


def test_a_text_that_takes_no_further_line_has_to_say_its_end_itself() -> None:
    with pytest.raises(Refused) as refused:
        signing.ending(f"{user('ann')}...\n".encode(), 2_000_000_000)
    assert refused.value.advice == "add it by hand: expires: 2033-05-18T03:33:20Z"
