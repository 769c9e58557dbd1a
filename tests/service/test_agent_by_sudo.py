"""The agent by sudo: an exact rule lets one user start it, with nothing of their own choosing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("sudo") is None, reason="needs root and sudo"
    ),
]

USER, OTHER = "games", "daemon"
"""Users that every Debian has."""


class Machine:
    """This machine, with another /etc for those who are started in it."""

    def __init__(self, top: Path) -> None:
        self.etc, self.home = top / "etc", top / "home"
        self.home.mkdir()
        self.etc.mkdir()
        for name in ("passwd", "group", "nsswitch.conf", "pam.d", "security", "ld.so.cache"):
            source = Path("/etc", name)
            if source.is_dir():
                shutil.copytree(source, self.etc / name)
            elif source.exists():
                shutil.copy2(source, self.etc / name)
        shadow = "".join(f"{user}:*:19000:0:99999:7:::\n" for user in ("root", USER, OTHER))
        (self.etc / "shadow").write_text(shadow)
        (self.etc / "shadow").chmod(0o600)
        self.program = top / "bin/provisioner-agent"
        self.program.parent.mkdir()
        self.program.write_text(
            f"#!{sys.executable} -I\nfrom provisioner.agent.server import main\nmain()\n"
        )
        self.program.chmod(0o755)
        (self.etc / "sudoers").write_text(f'{USER} ALL=(root) NOPASSWD: {self.program} ""\n')
        (self.etc / "sudoers").chmod(0o440)
        rules = self.etc / "provisioner/agent.toml"
        rules.parent.mkdir()
        rules.write_text(f'allow = ["{USER}"]\nlog = "{top}/log"\n[roots."{self.home}"]\n')
        rules.chmod(0o600)

    def ask(self, question: object, *arguments: str, user: str = USER) -> tuple[str, str]:
        """Ask by sudo as a user; return what was said to either side."""
        sudo = f"setpriv --reuid={user} --regid={user} --clear-groups sudo -n {self.program} "
        inside = f'mount --bind {self.etc} /etc && exec {sudo} "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", inside, "sh", *arguments],
            input=json.dumps(question) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout, done.stderr


@pytest.fixture
def machine() -> Iterator[Machine]:
    with TemporaryDirectory(dir="/var/tmp") as top:
        Path(top).chmod(0o755)
        yield Machine(Path(top))


def test_the_user_of_the_rule_is_served(machine: Machine) -> None:
    asked = {"verb": "make", "root": str(machine.home), "path": "jdoe", "uid": 20001, "gid": 20001}
    more = {"mode": 0o700, "skeleton": None, "mounted": False}
    out, err = machine.ask({**asked, **more})
    assert json.loads(out or "{}") == {"ok": True, "value": None}, err
    assert (machine.home / "jdoe").stat().st_uid == 20001


def test_the_rule_allows_no_argument(machine: Machine) -> None:
    out, err = machine.ask({"verb": "hello"}, "--config", "/tmp/mine.toml")
    assert (out, "sudo" in err) == ("", True)


def test_nobody_else_has_a_rule(machine: Machine) -> None:
    out, err = machine.ask({"verb": "hello"}, user=OTHER)
    assert (out, "sudo" in err) == ("", True)


def test_a_rule_that_is_too_wide_lets_nobody_choose_the_configuration(machine: Machine) -> None:
    machine.etc.joinpath("sudoers").write_text("ALL ALL=(root) NOPASSWD: ALL\n")
    assert "usage" in machine.ask({"verb": "hello"}, "--config", "/tmp/mine.toml")[1]


def test_a_rule_that_is_too_wide_lets_nobody_in_whom_the_agent_does_not_allow(
    machine: Machine,
) -> None:
    machine.etc.joinpath("sudoers").write_text("ALL ALL=(root) NOPASSWD: ALL\n")
    out, _ = machine.ask({"verb": "hello"}, user=OTHER)
    assert "may not ask" in json.loads(out)["message"]
