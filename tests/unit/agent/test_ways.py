"""The paths of a tool that changes things are held against ways: what others could exchange is
refused, or reached by what was opened and by no name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.agent.server import Agent
from tests.support.acls import AS_ROOT
from tests.support.agents import answering, ask

pytestmark = AS_ROOT

MEMBER = 2101


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Give a file system: `projects/cf1` of admins, `theirs/d/cf2` in a directory of a member."""
    top = tmp_path / "fs1"
    for name in ("", "projects", "projects/cf1", "theirs", "theirs/d", "theirs/d/cf2"):
        (top / name).mkdir(mode=0o755)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "cf2").mkdir(parents=True, mode=0o751)
    os.chown(top / "theirs", MEMBER, MEMBER)
    (top / "theirs").chmod(0o2770)
    return top


def agent(tmp_path: Path, top: Path, *, uses: str = "ways", meanwhile: str = ":") -> Agent:
    """Build an agent whose chmod and chown do something else first: a member does, meanwhile."""
    path = "'/.*'"
    tools = ""
    for name, giving, taking in (
        ("chmod", '"0[0-7]{4}", "--"', '"00[0-7]00", "--"'),
        ("chown", '"-h", "[0-9]+:[0-9]+", "--"', '"-h", "0:0", "--"'),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n{meanwhile}\nexec /usr/bin/{name} "$@"\n')
        program.chmod(0o755)
        tools += f'[tools.{name}]\npath = "{program}"\nuses = "{uses}"\n'
        tools += f'arguments = [[{giving}, {path}, "..."]]\ntaking = [[{taking}, {path}, "..."]]\n'
    return answering(tmp_path, more=f'[ways."{top}"]\n{tools}')


def run(agent: Agent, tool: str, *arguments: str) -> dict[str, Any]:
    return ask(agent, verb="run", tool=tool, arguments=list(arguments), stdin="", seconds=9)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def done(told: dict[str, Any]) -> bool:
    return bool(told["ok"]) and told["value"]["returncode"] == 0


@pytest.mark.parametrize("uses", ["ways", "descriptors"])
def test_below_directories_of_admins_a_tool_does_its_work(
    tmp_path: Path, top: Path, uses: str
) -> None:
    cf1 = top / "projects" / "cf1"
    told = run(agent(tmp_path, top, uses=uses), "chmod", "02770", "--", str(cf1))
    assert done(told), told
    assert mode(cf1) == 0o2770


def _another_owner(projects: Path) -> None:
    os.chown(projects, MEMBER, 0)


def _a_link(projects: Path) -> None:
    projects.rename(projects.parent / "real")
    projects.symlink_to("real")


def _a_link_at_the_end(projects: Path) -> None:
    (projects / "cf1").rename(projects / "real")
    (projects / "cf1").symlink_to("real")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_another_owner, "belongs to uid 2101"),
        (lambda projects: projects.chmod(0o775), "is open to others, mode 0775"),
        (lambda projects: projects.chmod(0o757), "is open to others, mode 0757"),
        (lambda projects: projects.chmod(0o1777), "is open to others, mode 1777"),
        (lambda projects: projects.parent.chmod(0o777), "is open to others, mode 0777"),
        (_a_link, "projects is a link or not a directory"),
        (_a_link_at_the_end, "cf1 is a link or not a directory"),
    ],
    ids=["another's", "its group's", "everybody's", "sticky", "the top", "a link", "at the end"],
)
@pytest.mark.parametrize("uses", ["ways", "descriptors"])
def test_what_others_could_exchange_is_refused(
    tmp_path: Path, top: Path, uses: str, spoil: Callable[[Path], None], said: str
) -> None:
    cf1 = top / "projects" / "cf1"
    spoil(top / "projects")
    told = run(agent(tmp_path, top, uses=uses), "chmod", "02770", "--", str(cf1))
    assert not told["ok"]
    assert said in told["message"]
    assert told["advice"]
    assert mode(cf1.resolve()) == 0o755


@pytest.mark.parametrize(
    "path", ["/etc", "/", "{top}", "{top}/", "{top}x/cf1", "{top}/projects/../cf1", "{top}//cf1"]
)
def test_a_path_below_no_way_is_refused(tmp_path: Path, top: Path, path: str) -> None:
    told = run(agent(tmp_path, top), "chmod", "02770", "--", path.format(top=top))
    assert "not directly below a directory that tools may work in" in told["message"]


def test_each_of_several_paths_is_held_against_the_ways(tmp_path: Path, top: Path) -> None:
    cf1 = top / "projects" / "cf1"
    paths = [str(cf1), str(top / "theirs" / "x")]
    told = run(agent(tmp_path, top), "chmod", "02770", "--", *paths)
    assert "belongs to uid 2101" in told["message"]
    assert mode(cf1) == 0o755


def test_a_tool_that_works_by_descriptors_changes_what_was_looked_at(
    tmp_path: Path, top: Path
) -> None:
    # Only an admin could do this: the descriptor holds all the same.
    projects, elsewhere = top / "projects", tmp_path / "elsewhere" / "cf2"
    meanwhile = f"mv {projects}/cf1 {projects}/was; ln -s {elsewhere} {projects}/cf1"
    answering = agent(tmp_path, top, uses="descriptors", meanwhile=meanwhile)
    assert done(run(answering, "chmod", "02770", "--", f"{projects}/cf1"))
    assert (mode(projects / "was"), mode(elsewhere)) == (0o2770, 0o751)


@pytest.mark.parametrize("tool", ["chown", "chmod"])
def test_taking_access_away_goes_on_below_a_members_directory_and_follows_no_exchange(
    tmp_path: Path, top: Path, tool: str
) -> None:
    theirs, elsewhere = top / "theirs", tmp_path / "elsewhere"
    os.chown(theirs / "d" / "cf2", MEMBER, MEMBER)
    meanwhile = f"mv {theirs}/d {theirs}/was; ln -s {elsewhere} {theirs}/d"
    os.chown(elsewhere / "cf2", 7, 7)
    taken = {"chown": ["-h", "0:0"], "chmod": ["00700"]}[tool]
    told = run(agent(tmp_path, top, meanwhile=meanwhile), tool, *taken, "--", f"{theirs}/d/cf2")
    assert done(told), told
    found, other = (theirs / "was" / "cf2").stat(), (elsewhere / "cf2").stat()
    assert (found.st_uid, mode(theirs / "was" / "cf2")) == {
        "chown": (0, 0o755),
        "chmod": (MEMBER, 0o700),
    }[tool]
    assert (other.st_uid, mode(elsewhere / "cf2")) == (7, 0o751)


@pytest.mark.parametrize("uses", ["descriptors", "ways"])
def test_what_goes_by_descriptor_works_in_each_directory_and_is_told_no_number(
    tmp_path: Path, top: Path, uses: str
) -> None:
    said = tmp_path / "said"
    meanwhile = f'echo "$(pwd -P) $*" >> {said}; ls -l /proc/$$/fd | grep -c {top} >> {said}'
    theirs = [str(top / "theirs"), str(top / "theirs" / "d")]
    told = run(
        agent(tmp_path, top, uses=uses, meanwhile=meanwhile), "chmod", "00700", "--", *theirs
    )
    assert done(told), told
    # Nothing of the file system is open in the tool: a number could mean something else there.
    assert said.read_text() == "".join(f"{one} 00700 -- .\n0\n" for one in theirs)
    assert [mode(Path(one)) for one in theirs] == [0o700, 0o700]


@pytest.mark.parametrize(
    "words",
    [
        *(["00700", "--"], ["00700"], ["00700", "--", "."], ["00700", "--", ".."]),
        *(["00700", "--", "x"], ["00700", "."], ["--", "{d}"], ["00700", "{d}"]),
        ["00700", "--", "{d}", "."],
    ],
)
def test_what_goes_by_descriptor_gets_options_and_whole_paths_alone(
    tmp_path: Path, top: Path, words: list[str]
) -> None:
    said = tmp_path / "said"
    program = tmp_path / "chmod"
    program.write_text(f"#!/bin/sh\necho ran > {said}\n")
    program.chmod(0o755)
    more = f'[ways."{top}"]\n[tools.chmod]\npath = "{program}"\nuses = "descriptors"\n'
    more += 'arguments = [[".*", "..."]]\n'
    given = [word.format(d=top / "projects") for word in words]
    told = run(answering(tmp_path, more=more), "chmod", *given)
    assert told["ok"] is (words == ["--", "{d}"])
    assert said.exists() is told["ok"]
    if not told["ok"]:
        assert "is not OPTION... -- PATH..." in told["message"]


def test_the_first_failure_counts_the_rest_is_done_and_each_is_named(
    tmp_path: Path, top: Path
) -> None:
    d, cf2 = top / "theirs" / "d", top / "theirs" / "d" / "cf2"
    meanwhile = f'if [ "$(pwd -P)" = {d} ]; then echo no >&2; exit 3; fi'
    told = run(agent(tmp_path, top, meanwhile=meanwhile), "chmod", "00700", "--", str(d), str(cf2))
    assert told["value"]["returncode"] == 3
    assert told["value"]["stderr"] == f"{d}: no\n"
    assert mode(cf2) == 0o700


def test_all_calls_of_one_question_share_its_time(tmp_path: Path, top: Path) -> None:
    d, cf2 = top / "theirs" / "d", top / "theirs" / "d" / "cf2"
    answering = agent(tmp_path, top, meanwhile="sleep 60")
    told = ask(
        answering,
        verb="run",
        tool="chmod",
        arguments=["00700", "--", str(d), str(cf2)],
        stdin="",
        seconds=0.2,
    )
    assert told["value"]["timed_out"]
    assert (mode(d), mode(cf2)) == (0o755, 0o755)


def test_taking_access_away_follows_no_link_that_is_there(tmp_path: Path, top: Path) -> None:
    theirs, elsewhere = top / "theirs", tmp_path / "elsewhere"
    (theirs / "l").symlink_to(elsewhere)
    told = run(agent(tmp_path, top), "chmod", "00700", "--", f"{theirs}/l/cf2")
    assert "l is a link or not a directory" in told["message"]
    assert mode(elsewhere / "cf2") == 0o751


@pytest.mark.parametrize(
    ("tool", "given"),
    [("chown", ["-h", "0:2101"]), ("chown", ["-h", "2101:0"]), ("chmod", ["00770"])],
)
def test_giving_access_below_a_members_directory_is_refused(
    tmp_path: Path, top: Path, tool: str, given: list[str]
) -> None:
    told = run(agent(tmp_path, top), tool, *given, "--", str(top / "theirs" / "d" / "cf2"))
    assert "belongs to uid 2101" in told["message"]


def test_without_ways_every_directory_from_the_root_down_is_looked_at(tmp_path: Path) -> None:
    more = '[tools.chmod]\npath = "/usr/bin/chmod"\narguments = [["00700", "--", "/.*"]]\n'
    (tmp_path / "home" / "x").mkdir(parents=True)
    (tmp_path / "home").chmod(0o777)
    told = run(answering(tmp_path, more=more), "chmod", "00700", "--", str(tmp_path / "home" / "x"))
    assert "is open to others" in told["message"]


def test_what_reads_gets_its_paths_as_they_are(tmp_path: Path, top: Path) -> None:
    more = (
        '[tools.stat]\npath = "/usr/bin/stat"\nuses = "reads"\narguments = [["-c", "%u", ".*"]]\n'
    )
    told = run(answering(tmp_path, more=more), "stat", "-c", "%u", str(top / "theirs"))
    assert told["value"]["stdout"] == f"{MEMBER}\n"
