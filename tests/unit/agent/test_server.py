"""The agent is the only privileged surface: whatever it is asked, it stays within its rules."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.agent.rules import Log, Rules, load
from provisioner.agent.server import _FIELDS, LINE, Agent
from tests.support import agents
from tests.support.acls import AS_ROOT
from tests.support.agents import TOOLS, answering, ask

pytestmark = AS_ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("root's own")
    return outside


def look(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """Give mode, owner, group and time of change of all below a directory, and of itself."""
    found = {str(path): path.lstat() for path in [directory, *directory.rglob("*")]}
    return {p: (s.st_mode, s.st_uid, s.st_gid, s.st_ctime_ns) for p, s in found.items()}


def make(home: Path, **other: object) -> dict[str, object]:
    """Write a question that makes jdoe's home."""
    whole: dict[str, object] = {"verb": "make", "root": str(home), "path": "jdoe", "uid": 20001}
    return {**whole, "gid": 20002, "mode": 0o700, "skeleton": None, "mounted": False, **other}


# Questions.


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"{" * 100, "not JSON"),
        (b"[" * 100_000, "nested"),
        (b"9" * 10_000, "not JSON"),
        (b"null", "a question is"),
        (b'["verb"]', "a question is"),
        (b'{"verb": 1}', "a question is"),
        (b'{"verb": "remove"}', "not a verb"),
        (b'{"verb": "hello", "verb": "run"}', "twice"),
        (b'{"verb": "hello", "more": 1}', "exactly: nothing"),
        (b'{"verb": "children"}', "exactly: root, mounted"),
        (b'{"verb": "children", "root": 5, "mounted": false}', "root is not a text"),
        (b'{"verb": "hello"}' + b" " * LINE, "at most"),
    ],
)
def test_what_is_no_question_is_answered_and_not_done(
    tmp_path: Path, line: bytes, said: str
) -> None:
    told = json.loads(answering(tmp_path).answer(line))
    assert (told["ok"], told["fault"]) == (False, "Permanent")
    assert said in told["message"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"root": "/"}, "not a root of this agent"),
        ({"root": "/etc"}, "not a root of this agent"),
        ({"path": "../outside/jdoe"}, "not a path of a home"),
        ({"path": ".ssh"}, "not a path of a home"),
        ({"path": "-rf"}, "not a path of a home"),
        ({"path": "a\0b"}, "not a path of a home"),
        ({"path": "a\nb"}, "not a path of a home"),
        ({"path": "\udcff"}, "not a path of a home"),
        ({"path": "a" * 256}, "not a path of a home"),
        ({"path": "jdoe/.ssh"}, "not a path of a home"),
        ({"path": "jdoe/bin"}, "has 2 names, not 1"),
        ({"uid": 0}, "uid 0"),
        ({"gid": 0}, "gid 0"),
        ({"uid": -1}, "uid -1"),
        ({"uid": 4294967295}, "uid 4294967295"),
        ({"uid": True}, "uid is not a number"),
        ({"uid": 2e4}, "uid is not a number"),
        ({"mode": 0o4700}, "mode 4700"),
        ({"mode": 0o777}, "mode 0777"),
        ({"mode": -1}, "mode -001"),
        ({"skeleton": "/root/.ssh"}, "not a skeleton of this agent"),
        ({"skeleton": "../../root"}, "not a skeleton of this agent"),
    ],
)
def test_a_home_outside_the_rules_is_refused_in_words_and_not_made(
    tmp_path: Path, root: Path, outside: Path, other: Mapping[str, object], said: str
) -> None:
    before = look(tmp_path / "outside"), look(root)
    told = ask(answering(tmp_path), **make(root, **other))
    assert said in told["message"]
    assert (look(outside), look(root)) == before


def test_a_directory_that_belongs_to_the_system_is_not_changed(tmp_path: Path, root: Path) -> None:
    (root / "lost+found").mkdir(mode=0o700)
    agent, before = answering(tmp_path), look(root)
    where = {"root": str(root), "path": "lost+found"}
    for asked in (
        {"verb": "set_owner", "uid": 20001, "gid": 20001},
        {"verb": "set_mode", "mode": 0o755},
        {"verb": "set_acl", "acl": "u:20001:rwx"},
    ):
        assert "belongs to 0:0" in ask(agent, **asked, **where)["message"]
    assert look(root) == before


def test_a_home_is_closed_by_making_it_roots_and_opened_again(tmp_path: Path, root: Path) -> None:
    agent, home = answering(tmp_path), {"root": str(root), "path": "jdoe"}
    assert ask(agent, **make(root))["ok"]
    for uid in (0, 20001):
        assert ask(agent, verb="set_owner", **home, uid=uid, gid=20002)["ok"]
        found = (root / "jdoe").stat()
        assert (found.st_uid, found.st_gid) == (uid, 20002)
    assert not ask(agent, verb="set_owner", **home, uid=0, gid=0)["ok"]


@pytest.mark.parametrize("mode", [0o2770, 0o3770, 0o1777, 0o1701, 0o0700, 0o0000])
def test_a_directory_of_roots_that_is_no_closed_home_is_given_to_nobody(
    tmp_path: Path, root: Path, mode: int
) -> None:
    shared = root / "shared"
    shared.mkdir()
    os.chown(shared, 0, 25000)
    shared.chmod(mode)
    agent, before = answering(tmp_path), look(root)
    where = {"root": str(root), "path": "shared"}
    for asked in (
        {"verb": "set_owner", "uid": 21001, "gid": 21001},
        {"verb": "set_owner", "uid": 0, "gid": 21001},
        {"verb": "set_mode", "mode": 0o1700},
        {"verb": "set_acl", "acl": "u:20001:rwx"},
    ):
        told = ask(agent, **asked, **where)
        assert "has no mark of a closed home" in told["message"]
        assert "chmod u=rwx,go=,+t" in told["advice"]
    assert look(root) == before


def test_a_home_that_was_closed_before_the_mark_opens_after_what_is_said_was_typed(
    tmp_path: Path, root: Path
) -> None:
    home = root / "jdoe"
    home.mkdir(mode=0)
    os.chown(home, 0, 20002)
    agent, asked = answering(tmp_path), {"root": str(root), "path": "jdoe"}
    opening = {"verb": "set_owner", "uid": 20001, "gid": 20002, **asked}
    typed = ask(agent, **opening)["advice"].split(": ")[1].split(" DIR")[0]
    subprocess.run([*typed.split(), str(home)], check=True)
    assert ask(agent, **opening)["ok"]


@pytest.mark.parametrize("bits", ["3775", "0700"])
def test_a_home_is_marked_as_it_becomes_roots_whatever_modes_homes_may_have(
    tmp_path: Path, root: Path, bits: str
) -> None:
    agent, home = answering(tmp_path, root=f'bits = "{bits}"'), root / "jdoe"
    asked = {"root": str(root), "path": "jdoe"}
    assert ask(agent, **make(root))["ok"]
    home.chmod(0o2777)
    assert ask(agent, verb="set_owner", **asked, uid=0, gid=20002)["ok"]
    assert home.stat().st_mode & 0o7777 == 0o1700
    assert ask(agent, verb="set_mode", **asked, mode=0o1000)["ok"]
    assert home.stat().st_mode & 0o7777 == 0o1000


@pytest.mark.parametrize(
    "acl",
    ["x", "u:1234", "u:root:rwx", "u:99999999999:rwx", "u:4294967295:rwx", "g:1:rwx\0", "m::r"],
)
def test_an_acl_that_is_none_is_refused(tmp_path: Path, root: Path, acl: str) -> None:
    agent = answering(tmp_path)
    assert ask(agent, **make(root))["ok"]
    told = ask(agent, verb="set_acl", root=str(root), path="jdoe", acl=acl)
    assert "not an entry of an ACL" in told["message"]


def test_a_skeleton_that_others_may_write_to_is_not_copied(tmp_path: Path, root: Path) -> None:
    (tmp_path / "skeleton").mkdir()
    (tmp_path / "skeleton").chmod(0o777)
    told = ask(answering(tmp_path), **make(root, skeleton="home"))
    assert (told["fault"], list(root.iterdir())) == ("ConfigError", [])


# Whatever comes.

NAMES = st.sampled_from(
    ["jdoe", "link", "..", ".", "", "a\0", "\n", "\udcff", "é", "x" * 300, ".jdoe.provisioner-new"]
)
PATHS = st.one_of(st.lists(NAMES, max_size=4).map("/".join), st.text(max_size=20))
ROOTS = st.sampled_from(["HOME", "HOME/", "HOME/..", "HOME/link", "/", "/etc", "", "OUTSIDE"])
NUMBERS = st.one_of(st.integers(), st.sampled_from([20001, 0, -1, 0o700, 2**32, 2**70]))
ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=9)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
WORDS = st.lists(st.one_of(PATHS, st.sampled_from(["OUTSIDE/secret", "-rf", "fine"])), max_size=4)
FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "root": ROOTS,
    "path": PATHS,
    "uid": NUMBERS,
    "gid": NUMBERS,
    "mode": NUMBERS,
    "acl": st.one_of(st.text("ugod:rwx-0123456789,", max_size=30), st.text(max_size=9)),
    "skeleton": st.one_of(st.none(), PATHS, st.sampled_from(["home", "/root"])),
    "tool": st.one_of(st.sampled_from(["say", "/bin/echo", "/bin/sh", "sh"]), PATHS),
    "arguments": WORDS,
    "stdin": st.text(max_size=9),
    "mounted": st.booleans(),
    "seconds": st.sampled_from([1, 0.5, 0, -1, 1e300, "1"]),
}
QUESTIONS = st.one_of(
    st.sampled_from(sorted(_FIELDS)).flatmap(
        lambda verb: st.fixed_dictionaries(
            {"verb": st.just(verb), **{n: st.one_of(FIELDS[n], ODD) for n in _FIELDS[verb]}}
        )
    ),
    st.dictionaries(st.sampled_from([*FIELDS, "verb"]), ODD),
    ODD,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, Path]]:
    top = tmp_path_factory.mktemp("fuzz")
    for name in ("home", "skeleton", "outside", "home/link.d"):
        (top / name).mkdir()
    (top / "outside" / "secret").write_text("root's own")
    (top / "home" / "link").symlink_to(top / "outside")
    tool = "[tools.say]\npath = '/bin/echo'\narguments = [['fine', '...']]"
    yield answering(top, more=tool, root="depths = [1, 2, 3, 4]"), top


@settings(
    max_examples=int(os.environ.get("PROVISIONER_FUZZ", "600")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(question=QUESTIONS)
def test_no_question_leads_out_of_the_roots_or_is_left_without_its_one_answer(
    fuzzed: tuple[Agent, Path], question: object
) -> None:
    agent, top = fuzzed
    before = look(top / "outside"), (top / "home").stat().st_mode, len(list(top.iterdir()))
    text = json.dumps(question).replace("HOME", str(top / "home"))
    answer = agent.answer(text.replace("OUTSIDE", str(top / "outside")).encode())
    assert b"\n" not in answer
    told = json.loads(answer)
    assert type(told["ok"]) is bool
    assert "the agent failed" not in str(told.get("message"))
    after = look(top / "outside"), (top / "home").stat().st_mode, len(list(top.iterdir()))
    assert after[:2] == before[:2] and after[2] - before[2] in (0, 1)  # the log comes to be
    for home in (top / "home").iterdir():
        found = home.lstat()
        assert found.st_uid == 0 or 1000 <= found.st_uid < 2**32 - 2
        assert home.is_symlink() or not found.st_mode & 0o4002
    if told["ok"] and isinstance(question, dict) and question["verb"] == "run":
        assert set(told["value"]["stdout"].split()) <= {"fine"}


# The log.


def entries(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "agent.log").read_text().splitlines()]


def test_the_log_says_who_asked_for_what_and_what_became_of_it(tmp_path: Path, root: Path) -> None:
    agent = answering(tmp_path)
    ask(agent, **make(root))
    ask(agent, verb="observe", root=str(root), path="..\n", mounted=False)
    agent.answer(b"\x1b[2J")
    begun, made, refused, nothing = entries(tmp_path)
    assert {one["who"] for one in (begun, made, refused, nothing)} == {"the test"}
    assert (begun["asked"], begun["ended"]) == (make(root), "begins")
    assert (made["asked"], made["ended"]) == (make(root), "ok")
    assert refused["ended"].startswith("Permanent")
    assert (tmp_path / "agent.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "agent.log").read_text().replace("\n", "").isprintable()


def test_what_cannot_be_logged_is_not_done(tmp_path: Path, root: Path) -> None:
    rules = load(agents.write_rules(tmp_path / "agent.toml", roots=[root]))
    agent = Agent(rules, Log("/dev/full"), "the test")
    assert ask(agent, **make(root))["fault"] == "Unavailable"
    assert list(root.iterdir()) == []
    assert ask(agent, verb="hello")["fault"] == "Unavailable"


def test_a_long_question_pushes_neither_verb_nor_tool_nor_path_out_of_the_log(
    tmp_path: Path, root: Path
) -> None:
    agent = answering(tmp_path, more=TOOLS)
    asked = {"arguments": ["x" * 3000], "tool": "python", "verb": "run", "seconds": 9}
    ask(agent, **asked, stdin="")
    ask(agent, acl="x" * 3000, path="jdoe", root=str(root), verb="set_acl")
    ran, set_acl = entries(tmp_path)[0]["asked"], entries(tmp_path)[-1]["asked"]
    assert (ran["verb"], ran["tool"]) == ("run", "python")
    assert (set_acl["verb"], set_acl["root"], set_acl["path"]) == ("set_acl", str(root), "jdoe")


def test_input_is_not_logged(tmp_path: Path, root: Path) -> None:
    agent = answering(tmp_path, more=TOOLS)
    asked = {"verb": "run", "tool": "python", "arguments": ["-c", ""], "seconds": 9}
    assert ask(agent, **asked, stdin="a secret")["ok"]
    assert "secret" not in (tmp_path / "agent.log").read_text()


# Time.


def test_a_verb_that_takes_too_long_is_given_up(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = answering(tmp_path, more="")
    agent._rules = Rules(seconds=0.05, roots=agent._rules.roots)

    def hanging(*_: object, **__: object) -> Any:
        while True:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", hanging)
        assert ask(agent, **make(root))["fault"] == "Unknown"
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", hanging)
        assert ask(agent, verb="children", root=str(root), mounted=False)["fault"] == "Unavailable"
    agent._rules = Rules(roots=agent._rules.roots)
    assert ask(agent, verb="children", root=str(root), mounted=False) == {"ok": True, "value": []}
