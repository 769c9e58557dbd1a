"""The agent is the only privileged surface: whatever it is asked, it stays within its rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.agent import _FIELDS, LINE, Agent, _lines
from provisioner.agenthost import Agent as Client
from provisioner.agenthost import runner
from provisioner.agentrules import Log, Root, Rules, Tool, _tool, load
from provisioner.contract import ConfigError, Fault, Permanent, Unavailable, Unknown
from tests.unit import agents
from tests.unit.acls import AS_ROOT
from tests.unit.test_process import over

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


def answering(tmp_path: Path, more: str = "", **rule: Any) -> Agent:
    """Build an agent, of its configuration as root writes it."""
    rules = load(
        agents.write_rules(
            tmp_path / "agent.toml",
            roots=[tmp_path / "home"],
            skeletons={"home": tmp_path / "skeleton"},
            more=more,
            **rule,
        )
    )
    return Agent(rules, Log(rules.log), "the test")


def ask(agent: Agent, **asked: object) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(agent.answer(json.dumps(asked).encode()))
    return told


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
        (b'{"verb": "remove"}', "no verb"),
        (b'{"verb": "hello", "verb": "run"}', "twice"),
        (b'{"verb": "hello", "more": 1}', "exactly: nothing"),
        (b'{"verb": "children"}', "exactly: root, mounted"),
        (b'{"verb": "children", "root": 5, "mounted": false}', "root is no text"),
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
        ({"root": "/"}, "no root of this agent"),
        ({"root": "/etc"}, "no root of this agent"),
        ({"path": "../outside/jdoe"}, "no home's path"),
        ({"path": ".ssh"}, "no home's path"),
        ({"path": "-rf"}, "no home's path"),
        ({"path": "a\0b"}, "no home's path"),
        ({"path": "a\nb"}, "no home's path"),
        ({"path": "\udcff"}, "no home's path"),
        ({"path": "a" * 256}, "no home's path"),
        ({"path": "jdoe/.ssh"}, "no home's path"),
        ({"path": "jdoe/bin"}, "has 2 names, not 1"),
        ({"uid": 0}, "uid 0"),
        ({"gid": 0}, "gid 0"),
        ({"uid": -1}, "uid -1"),
        ({"uid": 4294967295}, "uid 4294967295"),
        ({"uid": True}, "uid is no number"),
        ({"uid": 2e4}, "uid is no number"),
        ({"mode": 0o4700}, "mode 4700"),
        ({"mode": 0o777}, "mode 0777"),
        ({"mode": -1}, "mode -001"),
        ({"skeleton": "/root/.ssh"}, "no skeleton of this agent"),
        ({"skeleton": "../../root"}, "no skeleton of this agent"),
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


@pytest.mark.parametrize(
    "acl",
    ["x", "u:1234", "u:root:rwx", "u:99999999999:rwx", "u:4294967295:rwx", "g:1:rwx\0", "m::r"],
)
def test_an_acl_that_is_none_is_refused(tmp_path: Path, root: Path, acl: str) -> None:
    agent = answering(tmp_path)
    assert ask(agent, **make(root))["ok"]
    told = ask(agent, verb="set_acl", root=str(root), path="jdoe", acl=acl)
    assert "no entry of an ACL" in told["message"]


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
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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


@settings(max_examples=300, deadline=None)
@given(line=st.binary(max_size=200))
def test_no_line_is_left_without_an_answer(line: bytes) -> None:
    agent = Agent(Rules(), Log("/dev/null"), "the test")
    assert b"\n" not in agent.answer(line)


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")), max_size=8))
def test_there_is_one_answer_a_line_in_whatever_portions_they_come(lines: list[bytes]) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe:
        pipe.write(b"".join(line + b"\n" for line in lines) + b"cut off")
    try:
        assert list(_lines(reading, 1.0)) == lines
    finally:
        os.close(reading)


def test_a_line_without_end_takes_bounded_memory_and_has_one_answer(tmp_path: Path) -> None:
    source = tmp_path / "lines"
    with open(source, "wb") as file:
        file.write(b"x" * (3 * LINE) + b'\n{"verb": "hello"}\n')
    with open(source, "rb") as file:
        first, second = _lines(file.fileno(), 1.0)
    assert LINE < len(first) < 2 * LINE
    assert second == b'{"verb": "hello"}'


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


TOOLS = f"""
[tools.python]
path = {json.dumps(os.path.realpath(sys.executable))}
arguments = [["-c", ".*"]]
stdin = 100
seconds = 5
environment = {{SLURM_CONF = "/etc/slurm/a.conf"}}

[tools.brief]
path = "/usr/bin/env"
arguments = [["sleep", "60"], ["sh", "-c", ".*"]]
seconds = 2
"""


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
        (["agent", "/bin/sh", "-c", "id"], "no tool of this agent"),
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


def test_an_agent_that_is_not_configured_is_away() -> None:
    with pytest.raises(Unavailable, match="agent:gpfs"):
        runner({})(["agent:gpfs", "mmlsfs"])


def test_all_else_is_run_here() -> None:
    assert runner({})(["echo", "agent"]).stdout == "agent\n"


# The client.


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/nowhere/agent.sock", "No such file"),
        ("/nowhere/agent --x", "No such file"),
        ("sh -c 'echo sudo: a password is required >&2; exit 1'", "a password is required"),
        ("echo hello", "is no agent"),
        ("cat", "is no agent"),
    ],
)
def test_an_agent_that_does_not_answer_is_away_and_says_what_it_said(
    address: str, said: str
) -> None:
    with pytest.raises(Unavailable, match=said):
        Client(address).ask("hello")


@pytest.mark.parametrize(("verb", "kind"), [("observe", Unavailable), ("make", Unknown)])
@pytest.mark.parametrize("command", ["sh -c 'read line'", "sleep 60"])
def test_a_write_without_an_answer_is_unknown_and_a_read_is_not(
    verb: str, kind: type[Fault], command: str
) -> None:
    with pytest.raises(kind):
        Client(command).ask(verb, 0.3)


def test_a_connection_is_used_again_and_one_that_ended_is_not(client: Client) -> None:
    client.ask("hello")
    [first] = client._idle
    client.ask("hello")
    assert client._idle == [first]
    assert first._process is not None
    first._process.terminate()
    first._process.wait()
    client.ask("hello")
    assert client._idle != [first]


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


def test_input_is_not_logged(tmp_path: Path, root: Path) -> None:
    agent = answering(tmp_path, more=TOOLS)
    asked = {"verb": "run", "tool": "python", "arguments": ["-c", ""], "seconds": 9}
    assert ask(agent, **asked, stdin="a secret")["ok"]
    assert "secret" not in (tmp_path / "agent.log").read_text()


# The configuration.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seconds = 'x'", "seconds"),
        ("second = 1", "'second' is unknown"),
        ("log = 'agent.log'", "log"),
        ("allow = ['no-such-user']", "no-such-user"),
        ("allow = 5", "allow"),
        ("[roots.home]", "no absolute path"),
        ("[roots.'/home/../etc']", "no absolute path"),
        ("[roots.'/home']\ndepths = []", "depths"),
        ("[roots.'/home']\nids = [5]", ""),
        ("[roots.'/home']\nids = [5, 4]", "ids"),
        ("[roots.'/home']\nbits = '9'", ""),
        ("[roots.'/home']\nbits = '17777'", "bits"),
        ("[tools.x]\npath = '/bin/echo'", "arguments"),
        ("[tools.x]\narguments = []", "path"),
        ("[tools.x]\npath = 'echo'\narguments = []", "no absolute path"),
        ("[tools.x]\npath = '/bin/echo'\narguments = ['fs1']", "no list"),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['(']]", ""),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['...']]", "comes last"),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['...', 'a']]", "comes last"),
        ("[tools.x]\npath = '/bin/echo'\narguments = []\nseconds = 0", "seconds"),
        ("[tools", "no TOML"),
    ],
)
def test_a_configuration_that_is_not_right_is_refused_whole(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert said in raised.value.message


def test_what_is_left_out_is_narrow(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text("[roots.'/home']")
    path.chmod(0o600)
    rules = load(path)
    assert rules.roots == {"/home": Root(frozenset({1}), 1000, 4294967293, 0o3775)}
    assert (rules.tools, rules.skeletons, rules.allow, rules.log) == ({}, {}, frozenset(), "syslog")


@pytest.mark.parametrize("wrong", ["mode", "owner", "directory", "missing"])
def test_a_configuration_that_another_could_have_written_is_refused(
    tmp_path: Path, wrong: str
) -> None:
    directory = tmp_path / "etc"
    rules = agents.write_rules(directory / "agent.toml")
    if wrong == "mode":
        rules.chmod(0o620)
    elif wrong == "owner":
        os.chown(rules, 20001, 0)
    elif wrong == "directory":
        directory.chmod(0o777)
    else:
        rules.unlink()
    with pytest.raises(Unavailable, match="etc"):
        agents.agent(rules).ask("hello")


def test_a_tool_that_another_could_have_written_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o757)
    agent = answering(tmp_path, more=f"[tools.x]\npath = '{program}'\narguments = [[]]")
    asked = {"verb": "run", "tool": "x", "arguments": [], "stdin": "", "seconds": 1}
    assert "writable by others" in ask(agent, **asked)["message"]


def test_a_tool_is_found_by_its_name_or_its_path() -> None:
    rules = Rules(tools={"say": tool(("a",))})
    assert rules.tool("/bin/echo") is rules.tools["say"]
    assert rules.tool("echo") is rules.tools["say"]


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
