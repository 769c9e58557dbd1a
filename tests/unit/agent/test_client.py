"""The client of an agent: it believes nothing but the answer to its own question."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.agent.client import Agent, AgentHost, runner
from provisioner.contract import Fault, Owner, Unavailable, Unknown
from tests.support import agents
from tests.support.acls import AS_ROOT

pytestmark = AS_ROOT

READ = "observe"
WRITE = "set_mode"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a root with two homes, of which one is closed."""
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    for name, uid in (("ann", 20001), ("bob", 20002)):
        (home / name).mkdir(mode=0o700)
        os.chown(home / name, uid, uid)
    os.chown(home / "ann", 0, 20001)
    (home / "ann").chmod(0o1000)
    return home


@pytest.fixture
def rules(tmp_path: Path, home: Path) -> Path:
    return agents.write_rules(tmp_path / "agent.toml", roots=[home])


@pytest.fixture
def client(rules: Path) -> Iterator[Agent]:
    """Give an agent in a process of its own."""
    client = agents.agent(rules)
    yield client
    client.close()


def answering(*answers: str) -> Agent:
    """Give a program that reads a line and prints one, for each answer, as the agent would.

    `ID` stands for the number of the question.
    """
    text = (
        "import json, sys\n"
        f"for answer in {answers!r}:\n"
        "    asked = json.loads(sys.stdin.readline())\n"
        "    print(answer.replace('ID', str(asked['id'])), flush=True)\n"
        "sys.stdin.read()\n"
    )
    return Agent(shlex.join([sys.executable, "-c", text]))


def look(client: Agent, name: str) -> int:
    """Return the owner of a home, by an agent."""
    return AgentHost(client).observe(Path("/home"), name).uid


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/nowhere/agent.sock", "No such file"),
        ("/nowhere/agent --x", "No such file"),
        ("sh -c 'echo sudo: a password is required >&2; exit 1'", "a password is required"),
        ("echo hello", "did not answer as an agent: it printed 'hello'"),
        ("cat", "did not answer as an agent"),
    ],
)
def test_an_agent_that_does_not_answer_is_away_and_says_what_it_said(
    address: str, said: str
) -> None:
    with pytest.raises(Unavailable, match=said):
        Agent(address).hello()


def change(host: AgentHost) -> None:
    host.set_mode(Path("/home"), "ann", mode=0o700)


def read(host: AgentHost) -> None:
    host.observe(Path("/home"), "ann")


@pytest.mark.parametrize(("asks", "kind"), [(read, Unavailable), (change, Unknown)])
@pytest.mark.parametrize(
    "client",
    [
        Agent("sh -c 'read line'"),
        answering("Welcome to the file server!"),
        answering('{"id": 999, "ok": true, "value": null}'),
        answering('{"ok": true, "value": null}'),
        answering('{"id": ID, "ok": "yes", "value": null}'),
        answering('{"id": ID, "ok": true, "value": 5}'),
        answering('{"id": ID, "ok": true, "value": {"present": true, "uid": "0"}}'),
        answering('{"id": ID, "ok": true, "value": ' + "[" * 3000 + "]" * 3000 + "}"),
        answering("[]"),
    ],
    ids=[
        *("nothing", "a greeting", "of another question", "of no question"),
        *("ok is a text", "a number", "an id as text", "nested", "a list"),
    ],
)
def test_what_is_no_answer_to_a_write_is_unknown_and_to_a_read_away(
    client: Agent, asks: Callable[[AgentHost], None], kind: type[Fault]
) -> None:
    with pytest.raises(Fault) as raised:
        asks(AgentHost(client))
    assert type(raised.value) is kind
    assert not client._idle, "it is not asked again"


ANN = '{"id": ID, "ok": true, "value": {"present": true, "uid": 1}}'


def test_no_answer_is_taken_for_that_to_another_question() -> None:
    """A library of the agent's host printed a line between two answers."""
    client = answering(ANN + "\n" + ANN.replace("ID", "1"), ANN)
    assert look(client, "ann") == 1
    assert look(client, "bob") == 1, "by a new connection"
    late = answering(ANN, "a warning", ANN)
    assert look(late, "ann") == 1
    with pytest.raises(Unavailable, match="a warning"):
        look(late, "bob")


@pytest.mark.parametrize("banner", ["echo Welcome;", ""])
def test_a_greeting_of_a_remote_shell_shifts_no_answer(
    rules: Path, home: Path, banner: str
) -> None:
    command = shlex.join(agents.command(rules))
    client = Agent(shlex.join(["sh", "-c", f"{banner} exec {command}"]))
    seen: list[object] = []
    for name in ("ann", "bob"):
        try:
            seen.append(AgentHost(client).observe(home, name).uid)
        except Unavailable as fault:
            seen.append("ssh HOST true" in fault.advice)
    client.close()
    assert seen == ([True, True] if banner else [0, 20002])


def test_an_agent_that_refuses_to_serve_says_why(rules: Path) -> None:
    rules.write_text("roof = 1\n")
    with pytest.raises(Unavailable, match="roof"):
        agents.agent(rules).hello()


def test_a_connection_is_used_again_and_one_that_ended_is_not(client: Agent) -> None:
    client.hello()
    [first] = client._idle
    client.hello()
    assert client._idle == [first]
    assert first._process is not None
    first._process.terminate()
    first._process.wait()
    client.hello()
    assert client._idle != [first]


def test_an_agent_that_is_not_configured_is_away() -> None:
    with pytest.raises(Unavailable, match="agent:gpfs"):
        runner({})(["agent:gpfs", "mmlsfs"])


def test_all_else_is_run_here() -> None:
    assert runner({})(["echo", "agent"]).stdout == "agent\n"


def test_what_an_agent_refuses_is_raised_as_it_says(client: Agent, home: Path) -> None:
    with pytest.raises(Fault, match="uid 5 is not between"):
        AgentHost(client).set_owner(home, "bob", owner=Owner(5, 5))
