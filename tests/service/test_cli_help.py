"""Help, the manual and completion: what a stranger finds without a page of documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from provisioner.cli import guide, pages
from provisioner.cli.exits import Exit
from provisioner.cli.main import app
from tests.support.cli_site import Desk, call, served

PAGES = {" ".join(page.words[1:]): page for page in pages.every(typer.main.get_command(app))}
WITH_TOOLS = (
    pytest.mark.lab,
    pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="PROVISIONER_LAB names no lab"),
)
"""Of tests with programs that are installed with the lab: mandoc, zsh and fish."""

SCRIPTS = Path(__file__).parents[2] / "provisioner/cli/completion"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a sandbox in which every sample was served."""
    return served(tmp_path_factory.mktemp("help") / "site")


# Help.


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"]], ids=" ".join)
def test_help_groups_the_verbs_and_gives_examples(words: list[str]) -> None:
    said = call(*words).out
    assert [title for title in guide.GROUPS if f"\n{title}:\n" not in said] == []
    assert "\nExamples:\n" in said


def test_each_verb_stands_in_one_group() -> None:
    listed = [verb for verbs in guide.GROUPS.values() for verb in verbs]
    verbs = [name for name in PAGES if name and " " not in name]
    assert sorted(listed) == sorted(verbs)


@pytest.mark.parametrize("name", PAGES)
def test_each_page_has_an_example_that_the_program_takes(name: str) -> None:
    assert PAGES[name].examples
    for command, _ in PAGES[name].examples:
        words = re.split(r" [<>|)] ?|\)", command.partition("provisioner ")[2])[0].split()
        verb = " ".join(words[:2]) if " ".join(words[:2]) in PAGES else words[0]
        options = {
            term for option, _ in PAGES[verb].options for term in re.findall(r"-[-\w]+", option)
        }
        assert {
            word.partition("=")[0] for word in words if word.startswith("-") and word != "-"
        } <= options


@pytest.mark.parametrize(
    "words", [["queue", "-h"], ["help", "queue"], ["queue", "--help"]], ids=" ".join
)
def test_each_way_to_ask_about_a_verb_gives_its_page(words: list[str]) -> None:
    assert call(*words).out == call("queue", "-h").out
    assert "Usage: provisioner queue [OPTIONS]" in call(*words).out


@pytest.mark.parametrize("group", ["audit", "config", "journal"])
def test_a_group_without_a_verb_shows_its_page(group: str) -> None:
    done = call(group)
    assert done.code == 2
    assert done.out == call(group, "-h").out


def test_an_error_shows_how_the_verb_is_used() -> None:
    assert "Usage: provisioner retry [OPTIONS] [ID...]\n" in call("retry").err


def test_help_about_an_unknown_verb_says_so() -> None:
    done = call("help", "quue")
    assert done.code == 2
    assert "there is no verb 'quue'" in done.err


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(option: str) -> None:
    assert re.fullmatch(r"provisioner \d+\.\d+\.\d+\n", call(option).out)


# The manual.


def test_the_manual_has_a_page_for_each_verb_with_each_option(tmp_path: Path) -> None:
    call("help", "--man", str(tmp_path / "man1"))
    for page in PAGES.values():
        text = (tmp_path / "man1" / f"{'-'.join(page.words)}.1").read_text().replace("\\-", "-")
        assert text.startswith(".Dd ")
        assert [option for option, _ in page.options if f".Sy {option}" not in text] == []
        assert [code for code in Exit if f"\n.It {code.value}\n" not in text] == []


@WITH_TOOLS[0]
@WITH_TOOLS[1]
def test_mandoc_reads_the_manual_without_a_remark(tmp_path: Path) -> None:
    call("help", "--man", str(tmp_path))
    names = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        ["mandoc", "-Tlint", *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""


# Completion.

BASH = """
source <(cat {script})
COMP_LINE=$1 COMP_POINT=${{#1}} COMP_WORDBREAKS=$' \\t\\n"><=;|&(:'
_provisioner provisioner
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ : }}
_describe() {{ print -rl -- "${{(@P)3}}" }}
source {script}
words=(${{(s: :)1}}); if [[ $1 == *' ' ]]; then words+=(''); fi
CURRENT=$#words; _provisioner
"""
FISH = """
source {script}
complete --do-complete $argv[1]
"""


@pytest.fixture
def asking(desk: Desk, tmp_path: Path) -> Iterator[Any]:
    """Have a function that asks a shell for what a line completes to."""

    def ask(shell: str, line: str) -> set[str]:
        source, script = {
            "bash": (BASH, "provisioner"),
            "zsh": (ZSH, "_provisioner"),
            "fish": (FISH, "provisioner.fish"),
        }[shell]
        path = tmp_path / shell
        path.write_text(source.format(script=SCRIPTS / script))
        program = tmp_path / "bin/provisioner"
        program.parent.mkdir(exist_ok=True)
        python = sys.executable
        program.write_text(f"#!{python}\nfrom provisioner.cli.main import main\nmain()\n")
        program.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PROVISIONER_CONFIG": str(desk.config),
            "PYTHONPATH": str(SCRIPTS.parents[2]),
            "HOME": str(tmp_path),
        }
        done = subprocess.run(
            [shell, str(path), line], env=environment, capture_output=True, text=True, check=True
        )
        ends = {"bash": r"$", "zsh": r"(?<!\\):", "fish": r"\t"}[shell]
        words = {re.split(ends, word)[0].replace("\\", "") for word in done.stdout.split("\n")}
        return words - {""}

    yield ask


LINES = {
    "a verb": ("provisioner st", {"status"}),
    "an option": ("provisioner retry --ca", {"--cause"}),
    "a verb below a verb": ("provisioner audit ", {"show", "verify"}),
    "a subject": ("provisioner status user:j", {"user:jdoe"}),
}


@pytest.mark.parametrize(("line", "words"), LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize(
    "shell",
    [
        "bash",
        pytest.param("zsh", marks=WITH_TOOLS),
        pytest.param("fish", marks=WITH_TOOLS),
    ],
)
def test_a_shell_completes(asking: Any, shell: str, line: str, words: set[str]) -> None:
    # bash replaces only what follows the colon.
    given = {word.rpartition(":")[2] for word in words} if shell == "bash" else words
    assert asking(shell, line) == given


def test_ids_causes_and_lanes_complete(asking: Any, desk: Desk) -> None:
    [newest] = desk("queue", "--ended", "1", "--json").json["ended"]
    assert newest["id"] in asking("bash", "provisioner show 01")
    assert asking("bash", "provisioner pause sl") == {"slurm"}
    assert asking("bash", "provisioner grant j") == {"jdoe"}
    assert asking("bash", "provisioner grant jdoe 4") == {"41", "42"}
    assert asking("bash", "provisioner revoke jdoe allocation:4") == {"41", "42"}
    assert len(asking("bash", "provisioner retry --cause ")) == 1


def test_states_templates_and_short_ids_complete(asking: Any, desk: Desk) -> None:
    assert asking("bash", "provisioner queue --state de") == {"deferred"}
    assert asking("bash", "provisioner queue --state failed,re") == {"failed,refused"}
    assert asking("bash", "provisioner submit --template us") == {"user"}
    [row] = desk("queue", "--json").json["failed"]
    assert row["short"] in asking("bash", f"provisioner retry {row['short'][:3]}")


def test_completion_says_nothing_where_it_may_not_read(asking: Any) -> None:
    assert asking("bash", "provisioner --config /nonexistent show 01") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(shell: str) -> None:
    done = call("completion", shell)
    assert done.out in {path.read_text() for path in SCRIPTS.iterdir()}
    assert shell in done.out.splitlines()[0] + done.out.splitlines()[1]


@pytest.mark.parametrize("words", [["show", "\udcff"], ["new", "a", "b\udcff"], ["\udcff"]])
def test_an_argument_that_is_not_utf8_is_refused_by_every_verb(words: list[str]) -> None:
    done = call(*words)
    assert done.code == 2
    assert "\\xff' is not UTF-8" in done.err


def test_an_argument_that_may_stand_often_has_a_whole_name() -> None:
    page = call("adopt", "-h").out
    assert "adopt [OPTIONS] [HANDLER...]\n" in page
    assert "  HANDLER...  without a manifest" in page
