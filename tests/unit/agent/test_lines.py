"""The agent gives one answer a line, however the lines come and end."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.agent.rules import Log, Rules
from provisioner.agent.server import LINE, Agent, _lines
from tests.support import agents
from tests.support.acls import AS_ROOT

pytestmark = AS_ROOT


SILENT = Log("/dev/null")


@settings(max_examples=300)
@given(line=st.binary(max_size=200))
def test_no_line_is_left_without_an_answer(line: bytes) -> None:
    assert b"\n" not in Agent(Rules(), SILENT, "the test").answer(line)


@settings(max_examples=100)
@given(lines=st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")), max_size=8))
def test_there_is_one_answer_a_line_in_whatever_portions_they_come(lines: list[bytes]) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:
        pipe.write(b"".join(line + b"\n" for line in lines) + b"cut off")
    try:
        assert list(_lines(reading, 1.0)) == lines
    finally:
        os.close(reading)


def test_a_line_is_read_whatever_number_its_descriptor_has() -> None:
    """select(2) takes none of 1024 or more, of which a process may have some thousand open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    reading, writing = os.pipe()
    high = fcntl.fcntl(reading, fcntl.F_DUPFD, 1100)
    os.write(writing, b"a\n")
    os.close(writing)
    try:
        assert list(_lines(high, 1.0)) == [b"a"]
    finally:
        os.close(high)
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_line_without_end_takes_bounded_memory_and_has_one_answer(tmp_path: Path) -> None:
    source = tmp_path / "lines"
    with open(source, "wb") as file:
        file.write(b"x" * (3 * LINE) + b'\n{"verb": "hello"}\n')
    with open(source, "rb") as file:
        first, second = _lines(file.fileno(), 1.0)
    assert LINE < len(first) < 2 * LINE
    assert second == b'{"verb": "hello"}'


@pytest.mark.parametrize(("idle", "ended"), [("0.2", True), ("60", False)])
def test_an_agent_that_nobody_asks_ends(tmp_path: Path, idle: str, ended: bool) -> None:
    rules = agents.write_rules(tmp_path / "agent.toml")
    rules.write_text(f"idle = {idle}\n" + rules.read_text())
    with subprocess.Popen(
        agents.command(rules), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b'{"verb": "hello"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ok"]
        if ended:
            assert process.wait() == 0
        else:
            assert process.poll() is None
            process.kill()
