"""Programs: bounded in time with all that they start, and never given to a shell."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.contract import PATH, Permanent, Unavailable
from provisioner.system.process import OUTPUT, run
from tests.support.processes import over


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


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


BEYOND = "import sys; [sys.{stream}.write('x' * 2**20) for _ in range({mib})]"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_prints_too_much_is_named_and_no_part_of_it_is_believed(stream: str) -> None:
    code = BEYOND.format(stream=stream, mib=(OUTPUT >> 20) + 1)
    with pytest.raises(Permanent, match="printed more than 32 MiB") as raised:
        run(python(code))
    assert raised.value.message.startswith(sys.executable)
    assert "by hand" in raised.value.advice


def test_what_just_fits_is_returned() -> None:
    done = run(python(BEYOND.format(stream="stdout", mib=OUTPUT >> 20)))
    assert len(done.stdout) == OUTPUT


def test_what_prints_without_end_is_ended_in_time_and_takes_bounded_memory() -> None:
    done = run(["yes"], timeout=1.0)
    assert done.timed_out
    assert len(done.stdout) <= OUTPUT


def test_what_the_program_reads_late_still_arrives() -> None:
    done = run(["sh", "-c", "sleep 0.2; cat"], stdin="é" * 200_000)
    assert done.stdout == "é" * 200_000


def test_a_program_that_closes_its_pipes_is_waited_for() -> None:
    assert run(["sh", "-c", "exec <&- >&- 2>&-; sleep 0.2; exit 3"]).returncode == 3
    assert run(["sh", "-c", "exec <&- >&- 2>&-; sleep 600"], timeout=0.3).timed_out


def test_a_program_works_in_an_open_directory_that_it_has_no_number_of(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    tmp_path.rename(tmp_path.with_name("moved"))
    done = run(["sh", "-c", "pwd -P; ls -l /proc/$$/fd | grep -c moved"], directory=directory)
    assert done.stdout == f"{tmp_path.with_name('moved')}\n0\n"
    os.close(directory)


def test_in_a_directory_that_is_not_open_nothing_is_run(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.close(directory)
    with pytest.raises(Unavailable):
        run(["touch", str(tmp_path / "ran")], directory=directory)
    assert not (tmp_path / "ran").exists()


STOPPED = """
import signal, subprocess, sys
from provisioner.system.process import run
class Popen(subprocess.Popen):
    def _execute_child(self, *given):
        super()._execute_child(*given)
        print(self.pid, flush=True)
        signal.raise_signal(int(sys.argv[1]))
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, lambda number, frame: sys.exit(7))
subprocess.Popen = Popen
run(["sleep", "60"])
"""
"""Gets a signal, whose handler raises as the agent's does, before Popen has returned."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_is_told_to_stop_while_it_starts_a_program_ends_that_too(number: int) -> None:
    stopped = run(python(STOPPED, str(int(number))), timeout=50)
    assert stopped.returncode == 7, stopped.stderr
    assert over(int(stopped.stdout))


def test_nothing_stays_open() -> None:
    gc.collect()  # what other tests left open is closed now, and not in between
    before = sorted(Path("/proc/self/fd").iterdir())
    run(["true"], stdin="given")
    run(["sh", "-c", "sleep 600 & sleep 600"], timeout=0.1)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def no_such_file(path: Path) -> Path:
    return path / "sacctmgr"


def no_directory(path: Path) -> Path:
    (path / "bin").write_text("")
    return path / "bin/sacctmgr"


def no_program(path: Path) -> Path:
    (path / "text").write_text("text")
    return path / "text"


CANNOT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no such file": (no_such_file, "No such file or directory"),
    "its directory is none": (no_directory, "Not a directory"),
    "it is not executable": (no_program, "Permission denied"),
}


@pytest.mark.parametrize(("place", "says"), CANNOT.values(), ids=CANNOT.keys())
def test_a_program_that_cannot_be_run_is_away_until_somebody_mends_it(
    place: Callable[[Path], Path], says: str, tmp_path: Path
) -> None:
    program = place(tmp_path)
    with pytest.raises(Unavailable, match=f"{program} cannot be run: {says}") as raised:
        run([str(program), "show"])
    assert "install it, mount its file system" in raised.value.advice


def test_arguments_that_no_program_takes_are_refused_for_good() -> None:
    with pytest.raises(Permanent, match="true cannot be run: Argument list too long"):
        run(["true", "x" * (1 << 20)])


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
