"""Agents as a site has them: a separate program, over a pair of sockets, with a configuration."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from provisioner.agent.client import Agent, AgentHost, build
from provisioner.agent.rules import Log, load
from provisioner.agent.server import Agent as Answering

PROGRAM = [sys.executable, "-m", "provisioner.agent.server"]


def write_rules(
    path: Path,
    *,
    roots: Iterable[Path] = (),
    root: str = "",
    skeletons: Mapping[str, Path] | None = None,
    more: str = "",
) -> Path:
    """Write an agent's configuration; root: lines for each root; more: lines at its end."""
    path.parent.mkdir(exist_ok=True)
    lines = [f"log = {json.dumps(str(path.with_suffix('.log')))}"]
    lines += ["[skeletons]", *(f'{name} = "{at}"' for name, at in (skeletons or {}).items())]
    for one in roots:
        lines += [f'[roots."{one}"]', root]
    path.write_text("\n".join([*lines, more, ""]))
    path.chmod(0o600)
    return path


def command(rules: Path) -> list[str]:
    """Return the command that starts an agent."""
    return [*PROGRAM, "--config", str(rules)]


def agent(rules: Path) -> Agent:
    """Return an agent with a configuration."""
    return Agent(shlex.join(command(rules)))


def host(rules: Path) -> AgentHost:
    """Return the host of an agent."""
    return build(shlex.join(command(rules)))


ANY = "depths = [1, 2, 3, 4]\nids = [0, 4294967293]\nbits = '7777'"
"""For a root: whatever the real host would do."""

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
"""Programs that an agent may run."""


def answering(tmp_path: Path, more: str = "", **rule: Any) -> Answering:
    """Build an agent from its configuration, as root writes it."""
    rules = load(
        write_rules(
            tmp_path / "agent.toml",
            roots=[tmp_path / "home"],
            skeletons={"home": tmp_path / "skeleton"},
            more=more,
            **rule,
        )
    )
    return Answering(rules, Log(rules.log), "the test")


def ask(agent: Answering, **asked: object) -> dict[str, Any]:
    """Send a question to an agent, and return its answer."""
    told: dict[str, Any] = json.loads(agent.answer(json.dumps(asked).encode()))
    return told
