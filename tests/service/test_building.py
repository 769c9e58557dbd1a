"""Handlers are built on every host, also on one with none of their tools, secrets or networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "deploy/examples/provisioner.yaml"

PROGRAM = """
import sys
from pathlib import Path
from provisioner.config.schema import load
from provisioner import wiring

asked = []
def hook(event, words):
    secret = event == "open" and "secrets" in str(words[0])
    if secret or event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        asked.append((event, str(words[0])))

config = load(Path(sys.argv[1]))
for each in config.handlers.values():
    wiring.handler_factory(each.use)  # what importing a library asks for is not the handler's
sys.addaudithook(hook)
system = wiring.build(config)
assert len(system.lanes) == len(config.handlers) > 5, system.lanes
print(sorted({each.use for each in config.handlers.values()}))
assert not asked, asked
"""


def test_building_the_shipped_handlers_asks_nobody() -> None:
    words = [sys.executable, "-c", PROGRAM, str(EXAMPLE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for kind in ("ad_account", "adlds_account", "gpfs_fileset", "home_directory", "slurm"):
        assert kind in done.stdout
