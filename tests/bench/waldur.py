"""Users into a Slurm account by waldur-site-agent, from the package index, in an environment of
its own.

Promises: its own code makes the calls, as its backend's `add_user` does for each user; the time is
that of these calls alone. Leaves out: what the agent does before and after, with Waldur's server.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.into_slurm import Slurm

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-waldur"
PACKAGES = ("waldur-site-agent==1.0.7", "waldur-site-agent-slurm==1.0.7")
SCRIPT = """\
import os, sys, time
from waldur_site_agent_slurm.client import SlurmClient
bin, conf, cluster, account, *users = sys.argv[1:]
os.environ["SLURM_CONF"] = conf
client = SlurmClient({}, slurm_bin_path=bin, cluster_name=cluster)
began = time.perf_counter()
for user in users:
    if not client.get_association(user, account):
        client.create_association(user, account, account)
print(time.perf_counter() - began)
"""


def environment() -> Path:
    """Return the Python of the environment, which is made if it is not there.

    Raises CalledProcessError: a package cannot be installed.
    """
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run([str(python), *install], check=True, stdout=sys.stderr)
    return python


def add(slurm: Slurm, account: str, users: Sequence[str]) -> float:
    """Add users to an account; return the seconds that its client took."""
    words = [slurm.bin, slurm.conf, slurm.cluster, account, *users]
    done = subprocess.run(
        [str(environment()), "-c", SCRIPT, *words], check=True, capture_output=True, text=True
    )
    return float(done.stdout)
