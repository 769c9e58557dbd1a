"""The programs that an agent runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.agent.client import Agent as Client
from provisioner.agent.client import runner
from provisioner.agent.rules import Rules, Tool, _tool
from provisioner.contract import Permanent
from tests.support import agents
from tests.support.acls import AS_ROOT
from tests.support.agents import TOOLS
from tests.support.processes import over

pytestmark = AS_ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


# Tools.


def tool(*shapes: Sequence[str], **more: Any) -> Tool:
    written = {"path": "/bin/echo", "arguments": [list(shape) for shape in shapes], **more}
    return _tool("echo", written)


@pytest.mark.parametrize(
    ("shape", "arguments", "fits"),
    [
        ((), [], True),
        ((), ["-x"], False),
        (("fs1", "-Y"), ["fs1", "-Y"], True),
        (("fs1", "-Y"), ["fs1"], False),
        (("fs1", "-Y"), ["fs1", "-Y", "-x"], False),
        (("fs1", "-Y"), ["fs1 -Y"], False),
        (("[a-z]+",), ["fs1\n"], False),
        (("[a-z]+",), ["é"], False),
        ((r"\w+",), ["é"], False),
        ((".*",), ["a\nb"], False),
        (("--", "/home/[a-z]+", "..."), ["--", "/home/a", "/home/b"], True),
        (("--", "/home/[a-z]+", "..."), ["--", "/home/a"], True),
        (("--", "/home/[a-z]+", "..."), ["--"], False),
        (("--", "/home/[a-z]+", "..."), ["--", "/home/a", "/etc"], False),
    ],
)
def test_a_tool_gets_the_arguments_of_its_shape_alone(
    shape: Sequence[str], arguments: list[str], fits: bool
) -> None:
    if fits:
        tool(shape).check(arguments, "")
    else:
        with pytest.raises(Permanent):
            tool(shape).check(arguments, "")


def test_a_tool_gets_no_more_input_than_it_may() -> None:
    tool((), stdin=3).check([], "abc")
    with pytest.raises(Permanent):
        tool((), stdin=3).check([], "äb€")


@pytest.fixture
def client(tmp_path: Path, root: Path) -> Iterator[Client]:
    """Give an agent in a process of its own."""
    (tmp_path / "home").chmod(0o755)
    client = agents.agent(agents.write_rules(tmp_path / "agent.toml", roots=[root], more=TOOLS))
    yield client
    client.close()


def test_a_program_after_the_word_agent_is_run_by_the_agent(client: Client) -> None:
    run = runner({"agent:gpfs": client})
    text = "import os, sys; print(os.environ['SLURM_CONF'], sys.stdin.read()); sys.exit(3)"
    done = run(["agent:gpfs", "python", "-c", text], stdin="in")
    assert (done.returncode, done.stdout) == (3, "/etc/slurm/a.conf in\n")
    assert done.argv == ("agent:gpfs", "python", "-c", text)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(
    client: Client, tmp_path: Path
) -> None:
    run, pid = runner({"agent": client}), tmp_path / "pid"
    done = run(["agent", "brief", "sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], timeout=30)
    assert done.timed_out
    assert over(int(pid.read_text()))


def test_an_agent_that_is_told_to_stop_ends_what_it_started(client: Client, tmp_path: Path) -> None:
    rules = agents.write_rules(
        tmp_path / "a" / "agent.toml", more=TOOLS.replace("seconds = 2\n", "seconds = 60\n")
    )
    pid = tmp_path / "pid"
    asked = {"verb": "run", "tool": "brief", "stdin": "", "seconds": 60}
    asked["arguments"] = ["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60"]
    with subprocess.Popen(
        agents.command(rules), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        while not pid.exists():
            assert process.poll() is None
        process.terminate()
        process.wait()
    assert over(int(pid.read_text()))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["agent", "/bin/sh", "-c", "id"], "not a tool of this agent"),
        (["agent", "brief", "sleep", "61"], "may not be run as 'sleep 61'"),
        (["agent", "python", "-c", "a\0b"], "NUL"),
    ],
)
def test_what_is_not_shown_in_the_configuration_is_not_run(
    client: Client, argv: list[str], said: str
) -> None:
    with pytest.raises(Permanent, match=said):
        runner({"agent": client})(argv)


def test_an_agent_takes_no_environment(client: Client) -> None:
    with pytest.raises(Permanent, match="LD_PRELOAD"):
        runner({"agent": client})(["agent", "brief", "sleep", "60"], env={"LD_PRELOAD": "x"})


def test_a_tool_is_found_by_its_name_or_its_path() -> None:
    rules = Rules(tools={"say": tool(("a",))})
    assert rules.tool("/bin/echo") is rules.tools["say"]
    assert rules.tool("echo") is rules.tools["say"]
