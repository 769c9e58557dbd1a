"""The program: its verbs, its configuration, its exit codes, and what reaches a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from provisioner.cli.exits import Exit
from tests.support.cli_site import PROGRAM, Desk, Done, call, clean, sample, user

VERBS = [
    *("init", "run", "sandbox", "doctor"),
    *("submit", "check", "plan"),
    *("queue", "show", "status", "handlers", "schema", "config"),
    *("retry", "cancel", "hold", "release", "pause", "unpause"),
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a sandbox that the tests of this module only read, or drop files into."""
    return Desk(tmp_path_factory.mktemp("program") / "site")


# Help.


@pytest.mark.parametrize("words", [["--help"], []], ids=["asked for", "no verb"])
def test_help_names_every_verb_and_every_exit_code(words: list[str]) -> None:
    said = call(*words).out
    assert [verb for verb in VERBS if f"\n  {verb} " not in said] == []
    codes = {int(code) for code in re.findall(r"(\d) [a-z]", said.partition("Exit codes:")[2])}
    assert codes == {code.value for code in Exit}


@pytest.mark.parametrize("verb", [*VERBS, "config check", "config example"])
def test_every_verb_explains_itself_without_a_configuration(verb: str) -> None:
    done = call(*verb.split(), "--help", config="/nonexistent")
    assert done.code == 0
    assert f"provisioner {verb}" in done.out


# Where the configuration is.


def test_the_configuration_is_named_before_or_after_the_verb(desk: Desk) -> None:
    file = str(desk.config)
    for words in (
        ["--config", file, "config", "check"],
        ["config", "check", "--config", file],
        ["config", f"--config={file}", "check"],
    ):
        assert call(*words, config="/nonexistent").out == f"{file} is correct\n"


def test_the_environment_names_the_configuration_where_no_option_does(desk: Desk) -> None:
    assert call("config", "check", config=str(desk.config)).code == 0
    assert "there is no configuration /nonexistent" in call("queue", config="/nonexistent").err
    assert "/etc/provisioner/provisioner.yaml" in call("--help").out


@pytest.mark.parametrize("words", [["queue", "--config"], ["--config=", "queue"]])
def test_config_needs_a_file(words: list[str]) -> None:
    assert call(*words) == Done(2, "", "provisioner: --config needs a FILE\n")


def test_what_follows_two_dashes_is_no_option(desk: Desk) -> None:
    assert "'--config'" in desk("show", "--", "--config", code=3).err


# Exit codes, by what goes wrong; `test_cli_control` has those of the outcomes.

WRONG = {
    "no verb of that name": (["quue"], 2, "Did you mean 'queue'?"),
    "no option of that name": (["queue", "--all"], 2, "No such option"),
    "no argument": (["check"], 2, "Missing argument"),
    "an argument too many": (["queue", "x"], 2, "unexpected"),
    "a number that is none": (["queue", "--limit", "0"], 2, "Invalid value for '--limit'"),
    "a file that is not there": (["submit", "/nonexistent"], 2, "No such file or directory"),
    "a directory for a file": (["check", "/"], 2, "Is a directory"),
    "an endless file": (["submit", "/dev/zero"], 3, "has more than 65536 bytes"),
    "an endless file to check": (["check", "/dev/zero"], 3, "has more than 65536 bytes"),
    "an empty file": (["plan", "/dev/null"], 3, "the file is empty"),
    "no request": (["show", "nosuch"], 3, "there is no request 'nosuch'"),
    "no subject": (["status", "x"], 3, "nothing is claimed for 'x'"),
    "no id": (["retry", ""], 3, "there is no request ''"),
    "an id that is none": (["hold", "a\x1bb"], 3, "there is no request 'a\\x1bb'"),
    "a directory that is in use": (["sandbox", "/"], 4, "/ is not empty"),
}


@pytest.mark.parametrize(("words", "code", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_words_with_its_code(
    desk: Desk, words: list[str], code: int, said: str
) -> None:
    done = desk(*words, code=code)
    flat = re.sub(r"[\s│]+", " ", done.out + done.err)
    assert said in flat
    assert "Traceback" not in flat and clean(done.err)


@pytest.mark.parametrize("verb", ["queue", "doctor", "run", "init", "handlers", "submit -"])
def test_without_a_configuration_a_verb_says_how_to_name_one(verb: str) -> None:
    done = call(*verb.split(), config="/nonexistent", stdin=b"x")
    assert done.code == 4
    assert "/nonexistent" in done.out + done.err
    assert "provisioner config example" in done.out + done.err


def test_without_a_spool_submit_says_what_makes_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk.break_off("spool")
    done = desk("submit", sample("user-jdoe.yaml"), code=4)
    assert f"{desk.spool}/staging does not exist" in done.err
    assert "provisioner init" in done.err


def test_every_problem_stands_on_a_line_of_its_own(desk: Desk) -> None:
    done = desk("plan", sample("wrong-quota.yaml"), code=3)
    first, *more = done.err.splitlines()
    assert first.startswith("provisioner: line 3: action: ")
    assert [line[:9] for line in more] == ["  line 7:", "  line 9:"]


# What reaches a terminal.

HOSTILE = b"a\x1b]0;owned\x07\xff\n\xe2\x80\xae.yaml"


def test_a_hostile_file_is_shown_with_control_characters_escaped(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    path = tmp_path / os.fsdecode(HOSTILE)
    path.write_text(user("jdoe") + "# \x1b[31m\n")
    said = [desk("submit", str(path)), desk("check", str(path), code=3), desk("run", "--drain")]
    [name] = [row["file"] for row in desk("queue", "--ended", "1", "--json").json["ended"]]
    said += [desk("queue", "--ended", "1"), desk("show", name)]
    for done in said:
        assert clean(done.out + done.err), ascii(done.out + done.err)
    assert "\\x1b]0;owned\\x07\\xff\\x0a\\u202e.yaml" in desk("queue", "--ended", "1").out
    assert "# \\x1b[31m" in desk("show", name).out


def test_a_name_that_staging_does_not_take_is_replaced(desk: Desk, tmp_path: Path) -> None:
    for name in ("x" * 240 + ".yaml", "request.txt", ".yaml"):
        path = tmp_path / name
        path.write_text(user("jdoe"))
        assert desk("submit", str(path)).out.startswith("dropped as request")
    hidden = tmp_path / ".hidden.yaml"
    hidden.write_text(user("jdoe"))
    assert desk("submit", str(hidden)).out == "dropped as hidden.yaml\n"


def test_a_terminal_that_knows_fewer_characters_gets_escapes(desk: Desk) -> None:
    done = subprocess.run(
        [*PROGRAM, "show", "ä"],
        env={**os.environ, "PROVISIONER_CONFIG": str(desk.config), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert b"there is no request '\\xe4'" in done.stderr


def test_a_reader_who_has_seen_enough_is_no_error(desk: Desk) -> None:
    words = [*PROGRAM, "schema"]
    environment = {**os.environ, "PROVISIONER_CONFIG": str(desk.config)}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_ends_well_when_it_is_told_to(tmp_path: Path, number: int) -> None:
    desk = Desk(tmp_path / "site")
    with desk.service() as process:
        process.send_signal(number)
        assert process.wait(timeout=60) == 0


def test_one_service_at_a_time_serves_a_spool(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    with desk.service() as process:
        done = desk("run", "--drain", code=4)
    assert f"is served by another process, pid {process.pid}" in done.err


def test_one_service_at_a_time_serves_a_journal_whatever_its_spool(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    other = desk.root / "other.yaml"
    text = desk.config.read_text()
    assert "spool: spool" in text
    other.write_text(text.replace("spool: spool", "spool: other"))
    with desk.service() as process:
        desk("--config", str(other), "init")
        done = desk("--config", str(other), "run", "--drain", code=4)
    assert f"journal.db is served by another process, pid {process.pid}" in done.err


def test_a_drain_that_is_interrupted_leaves_the_rest(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    desk("pause", "slurm")
    desk("submit", sample("compute.yaml"))
    process = subprocess.Popen(
        [*PROGRAM, "run", "--drain"],
        env={**os.environ, "PROVISIONER_CONFIG": str(desk.config)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "group: create group cf0003" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 5
    assert "some requests still wait; to see for what: provisioner queue" in rest
