"""An agent's configuration: refused whole where it is not right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.agent.rules import Root, load
from provisioner.contract import ConfigError, Unavailable
from tests.support import agents
from tests.support.acls import AS_ROOT
from tests.support.agents import answering, ask

pytestmark = AS_ROOT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seconds = 'x'", "seconds"),
        ("second = 1", "'second' is unknown"),
        ("log = 'agent.log'", "log"),
        ("allow = ['no-such-user']", "no-such-user"),
        ("allow = 5", "allow"),
        ("[roots.home]", "not an absolute path"),
        ("[roots.'/home/../etc']", "not an absolute path"),
        ("[roots.'/home']\ndepths = []", "depths"),
        ("[roots.'/home']\nids = [5]", ""),
        ("[roots.'/home']\nids = [5, 4]", "ids"),
        ("[roots.'/home']\nbits = '9'", ""),
        ("[roots.'/home']\nbits = '17777'", "bits"),
        ("[tools.x]\npath = '/bin/echo'", "arguments"),
        ("[tools.x]\narguments = []", "path"),
        ("[tools.x]\npath = 'echo'\narguments = []", "not an absolute path"),
        ("[tools.x]\npath = '/bin/echo'\narguments = ['fs1']", "not a list"),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['(']]", ""),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['...']]", "comes last"),
        ("[tools.x]\npath = '/bin/echo'\narguments = [['...', 'a']]", "comes last"),
        ("[tools.x]\npath = '/bin/echo'\narguments = []\nseconds = 0", "seconds"),
        ("[tools", "not TOML"),
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
        agents.agent(rules).hello()


def test_a_tool_that_another_could_have_written_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o757)
    agent = answering(tmp_path, more=f"[tools.x]\npath = '{program}'\narguments = [[]]")
    asked = {"verb": "run", "tool": "x", "arguments": [], "stdin": "", "seconds": 1}
    assert "writable by others" in ask(agent, **asked)["message"]
