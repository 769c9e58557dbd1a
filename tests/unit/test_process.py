"""Programs: bounded in time with all that they start, and never given to a shell."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.process import PATH, run


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def over(pid: int, tries: int = 500) -> bool:
    """Say whether a process is over: reaped, or waiting for it. A kill takes a moment to arrive."""
    for _ in range(tries):
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if status.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_output_code_and_command_are_returned() -> None:
    argv = ["sh", "-c", "cat; echo wrong >&2; exit 3"]
    done = run(argv, stdin="given")
    assert (done.stdout, done.stderr, done.returncode) == ("given", "wrong\n", 3)
    assert (done.argv, done.timed_out) == (tuple(argv), False)


@pytest.mark.parametrize(
    "text", ["; id", "$(id)", "`id`", "a b", "*", "> x", "&& id", "", "'", "\n"]
)
def test_no_shell_reads_an_argument(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["printf", "%s", text]).stdout == text
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_what_was_given_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AD_PASSWORD", "hunter2")
    found = dict(line.split("=", 1) for line in run(["env"], env={"A": "b"}).stdout.splitlines())
    assert found == {"PATH": PATH, "LANG": "C", "LC_ALL": "C", "A": "b"}


def test_a_program_that_reads_nothing_may_be_given_much() -> None:
    assert run(["true"], stdin="x" * 1_000_000).returncode == 0


def test_much_output_on_both_pipes_does_not_block() -> None:
    code = "import sys; [s.write('x' * 300_000) for s in (sys.stdout, sys.stderr)]"
    done = run(python(code))
    assert (len(done.stdout), len(done.stderr)) == (300_000, 300_000)


def test_output_that_is_no_utf_8_is_escaped() -> None:
    assert run(["printf", r"a\377\303\251"]).stdout == "a\\xffé"


def test_a_program_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(
        ConfigError, match="/nowhere/sacctmgr cannot be run: No such file"
    ) as raised:
        run(["/nowhere/sacctmgr", "show"])
    assert "install it" in raised.value.advice


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with pytest.raises(ConfigError, match="cannot be run: Permission denied"):
        run([str(tmp_path / "text")])


def test_a_signal_shows_in_the_code() -> None:
    assert run(["sh", "-c", "kill -9 $$"]).returncode == -signal.SIGKILL


STUBBORN = 'trap "" TERM; exec sleep 600'


@pytest.mark.parametrize("pipes", ["", ">/dev/null 2>&1"], ids=["holding pipes", "quiet"])
@pytest.mark.parametrize("child", ["exec sleep 600", STUBBORN], ids=["sleeping", "stubborn"])
def test_a_timeout_ends_the_whole_group_and_keeps_what_was_printed(child: str, pipes: str) -> None:
    done = run(["sh", "-c", f"({child}) {pipes} & echo said before $!; wait"], timeout=1.0)
    text, _, pid = done.stdout.strip().rpartition(" ")
    assert (done.timed_out, text) == (True, "said before")
    assert done.returncode < 0
    assert over(int(pid))


def test_a_program_that_ignores_being_asked_is_ended() -> None:
    done = run(["sh", "-c", f"echo $$; {STUBBORN}"], timeout=1.0)
    assert (done.timed_out, done.returncode) == (True, -signal.SIGKILL)
    assert over(int(done.stdout))


def test_who_left_the_group_and_holds_the_pipes_is_not_waited_for(tmp_path: Path) -> None:
    kept = tmp_path / "pid"
    done = run(["sh", "-c", f"setsid sh -c 'echo $$ > {kept}; exec sleep 600' & wait"], timeout=1.0)
    left = int(kept.read_text())
    assert not over(left, tries=1)
    os.kill(left, signal.SIGKILL)
    assert done.timed_out
    assert done.returncode < 0


def test_a_program_runs_in_a_group_of_its_own() -> None:
    code = "import os; print(os.getpid(), os.getpgrp(), os.getsid(0))"
    pid, group, session = run(python(code)).stdout.split()
    assert (group, session) == (pid, pid)
