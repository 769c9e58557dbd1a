"""The handlers' backends behind an agent with the shipped configuration, at other paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provisioner.agent.client import Agent
from tests.support import agents

EXAMPLE = Path(__file__).parents[2] / "deploy/examples/agent.toml"


def shipped(directory: Path, places: Mapping[str, object]) -> Agent:
    """Start an agent with the example, in which texts are replaced."""
    text = EXAMPLE.read_text()
    for old, new in {
        'allow = ["provisioner"]': "",
        "/var/log/provisioner-agent/agent.log": directory / "agent.log",
        **places,
    }.items():
        assert old in text, old
        text = text.replace(old, str(new))
    path = directory / "agent.toml"
    path.write_text(text)
    path.chmod(0o600)
    return agents.agent(path)
