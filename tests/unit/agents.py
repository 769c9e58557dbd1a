"""Agents as a site has them: a program of its own, over a pair of sockets, with a configuration."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from provisioner.agenthost import Agent, AgentHost, build

PROGRAM = [sys.executable, "-m", "provisioner.agent"]


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
    """Give the command that starts an agent."""
    return [*PROGRAM, "--config", str(rules)]


def agent(rules: Path) -> Agent:
    """Give an agent with a configuration."""
    return Agent(shlex.join(command(rules)))


def host(rules: Path) -> AgentHost:
    """Give the host of an agent."""
    return build(shlex.join(command(rules)))


ANY = "depths = [1, 2, 3, 4]\nids = [0, 4294967293]\nbits = '7777'"
"""For a root: whatever the real host would do."""
