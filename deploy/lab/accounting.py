"""The lab's Slurm: munge, MariaDB, slurmdbd, slurmctld, and one node that runs jobs."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.lab import inside
from deploy.lab.directories import lab_paths
from deploy.lab.place import HOST, LOOPBACK, Lab
from deploy.lab.versions import at_least, version
from deploy.lab.write import begin, fill, finish, run

CLUSTER = "lab"
OTHER = "other"
"""A second cluster in the database, with no controller: what is meant for one must not reach it."""


RESTD_USER = "daemon"
"""Who runs slurmrestd: some user whom every Debian has."""

CLIENTS = ("sacctmgr", "scontrol", "sinfo", "squeue", "sbatch", "scancel", "sacct")


def conf(lab: Lab) -> Path:
    """Name slurm.conf, for SLURM_CONF."""
    return lab.path("etc", "slurm.conf")


def configure(lab: Lab) -> None:
    """Write the settings of all Slurm daemons."""
    values = {
        **lab_paths(lab),
        **{f"{name}_port": port for name, port in lab.ports.items()},
        "address": LOOPBACK,
        "host": HOST,
        "cluster": CLUSTER,
        "munge": munge_socket(lab),
        "password": lab.secret("slurmdbd").read_text(),
        "cpus": os.cpu_count() or 1,
    }
    fill("slurm.conf", conf(lab), values)
    # slurmdbd refuses a file that others may read.
    fill("slurmdbd.conf", lab.path("etc", "slurmdbd.conf"), values, mode=0o600)
    for name in ("slurmctld", "slurmd"):
        lab.path("data", name).mkdir(exist_ok=True)


def has_slurmrestd(lab: Lab) -> bool:
    """Say whether the lab's Slurm has a slurmrestd that the service can use; inside only."""
    return at_least(version(lab, "slurm"), "24.11")


def allow_tokens(lab: Lab) -> None:
    """Let the daemons take tokens, which the lab's slurmrestd wants."""
    if not has_slurmrestd(lab):
        return
    key = lab.secret("jwt.key")
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(64))
    lines = f"AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key={key}\n"
    for file in (conf(lab), lab.path("etc", "slurmdbd.conf")):
        with file.open("a", encoding="utf-8") as out:
            out.write(lines)


def disown_cgroups(lab: Lab) -> None:
    """Let the daemons do without cgroups, which a container may lack.

    24.11 and later have to be told. 22.05, which does not ask, takes it for a plugin:
    `slurmd: error: cannot find cgroup plugin for disabled`.
    """
    file = lab.path("etc", "cgroup.conf")
    file.unlink(missing_ok=True)
    if at_least(version(lab, "slurm"), "24.11"):
        file.write_text("CgroupPlugin=disabled\n")


def munge_socket(lab: Lab) -> Path:
    """Name munge's socket; inside it is the usual /run/munge/munge.socket.2 as well."""
    return lab.path("run", "munge", "munge.socket.2")


def start_munge(lab: Lab) -> None:
    """Start munge with a key of the lab's own."""
    key = lab.secret("munge.key")
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
    munge_socket(lab).parent.mkdir(exist_ok=True)
    lab.path("data", "munge").mkdir(exist_ok=True, mode=0o700)
    inside.start(lab.directory, "munge", [
        "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge_socket(lab)}",
        f"--pid-file={lab.path('run', 'munge', 'munged.pid')}",
        f"--log-file={lab.path('log', 'munge.log')}",
        f"--seed-file={lab.path('data', 'munge', 'seed')}", "--num-threads=4",
    ])  # fmt: skip
    _answers(lab, "munge", "munge", "--no-input", f"--socket={munge_socket(lab)}")


def start_mariadb(lab: Lab) -> None:
    """Make a database server if there is none, start it, and make room for slurmdbd."""
    data, run_dir = lab.path("data", "mariadb"), lab.path("run", "mariadb")
    run_dir.mkdir(exist_ok=True, mode=0o700)
    # It names temporary files by its process id, which another lab's may have, too.
    temporary = f"--tmpdir={run_dir}"
    if begin(data):
        place = ("--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db", temporary)
        run(*inside.entering(lab.directory), "mariadb-install-db", *place,
            "--auth-root-authentication-method=socket")  # fmt: skip
        finish(data)
    socket = run_dir / "socket"
    inside.start(lab.directory, "mariadb", [
        "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={socket}",
        f"--bind-address={LOOPBACK}", f"--port={lab.ports['mariadb']}",
        f"--pid-file={run_dir / 'pid'}", "--skip-name-resolve", temporary,
        # What slurmdbd asks for; it complains in its log about less.
        "--innodb-buffer-pool-size=256M", "--innodb-lock-wait-timeout=900",
    ])  # fmt: skip
    client = ["mariadb", "--no-defaults", "--user=root", f"--socket={socket}"]
    _answers(lab, "mariadb", *client, "--execute=select 1", port="mariadb")
    password = lab.secret("slurmdbd").read_text()
    run(*inside.entering(lab.directory), *client, stdin=(
        "create database if not exists slurm;"
        f"create or replace user slurm@'%' identified by '{password}';"
        "grant all on slurm.* to slurm@'%';"
    ))  # fmt: skip


def start_slurmdbd(lab: Lab) -> None:
    """Start slurmdbd and name the clusters to it; MariaDB and munge must answer."""
    _start(lab, "slurmdbd", "slurmdbd", "-D")
    sacctmgr = ("sacctmgr", "--noheader", "--parsable2", "--immediate")
    _answers(lab, "slurmdbd", *sacctmgr, "show", "cluster", port="slurmdbd")
    there = _slurm(lab, *sacctmgr, "show", "cluster", "format=cluster").split()
    missing = [name for name in (CLUSTER, OTHER) if name not in there]
    if missing:
        _slurm(lab, *sacctmgr, "add", "cluster", ",".join(missing))


def start_slurmctld(lab: Lab) -> None:
    """Start the controller; slurmdbd and the name service must answer."""
    state = lab.path("data", "slurmctld")
    if not (state / "assoc_usage").exists():
        # 26.05 does not start on what a controller left that was killed before it saved this.
        shutil.rmtree(state)
        state.mkdir()
    _start(lab, "slurmctld", "slurmctld", "-D")

    def up() -> bool:
        return inside.listens(lab.directory, LOOPBACK, lab.ports["slurmctld"]) and (
            "is UP" in _slurm(lab, "scontrol", "ping")
        )

    inside.answers(lab.directory, "slurmctld", up)


def start_slurmd(lab: Lab) -> None:
    """Start the node, and wait until the controller would give it a job."""
    _start(lab, "slurmd", "slurmd", "-D")

    def idle() -> bool:
        return inside.listens(lab.directory, LOOPBACK, lab.ports["slurmd"]) and (
            _slurm(lab, "sinfo", "--noheader", "--format=%T").strip() in ("idle", "mixed")
        )

    inside.answers(lab.directory, "slurmd", idle)


def slurmrestd_socket(lab: Lab) -> Path:
    """Name slurmrestd's socket."""
    return lab.path("run", "slurmrestd", "socket")


def start_slurmrestd(lab: Lab) -> None:
    """Start slurmrestd, as neither root nor SlurmUser, and make a token; slurmctld must answer."""
    socket = slurmrestd_socket(lab)
    socket.parent.mkdir()
    shutil.chown(socket.parent, RESTD_USER)
    become = ["setpriv", "--reuid", RESTD_USER, "--regid", RESTD_USER, "--clear-groups"]
    # Without SLURM_JWT it asks munge for its own messages, and refuses tokens.
    serve = ["slurmrestd", "-a", "rest_auth/jwt", "-s", "slurmdbd", f"unix:{socket}"]
    _start(lab, "slurmrestd", "SLURM_JWT=daemon", *become, *serve)
    inside.answers(lab.directory, "slurmrestd", socket.is_socket)
    token = lab.secret("slurm-token")
    token.unlink(missing_ok=True)
    token.touch(mode=0o600)
    token.write_text(_slurm(lab, "scontrol", "token", "username=root", "lifespan=2592000"))


def end_jobs(lab: Lab) -> None:
    """Cancel every job, so that none is found half done when the lab is up again."""
    try:
        _slurm(lab, "scancel", "--quiet", f"--clusters={CLUSTER}", "--state=PENDING,RUNNING",
               seconds=10)  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return  # They end with the namespaces anyway.


def _start(lab: Lab, name: str, *command: str) -> None:
    inside.start(lab.directory, name, ["env", f"SLURM_CONF={conf(lab)}", *command])


def _environment(lab: Lab) -> Mapping[str, str]:
    return {**os.environ, "SLURM_CONF": str(conf(lab))}


def _slurm(lab: Lab, *command: str, seconds: float = 300) -> str:
    """Ask Slurm; a controller that is away is an answer, too."""
    done = subprocess.run(
        [*inside.entering(lab.directory), *command],
        check=False, text=True, env=_environment(lab), timeout=seconds,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def _answers(lab: Lab, name: str, *command: str, port: str | None = None) -> None:
    """Wait until a client gets an answer, from a listener that is the lab's own."""

    def answered() -> bool:
        if port and not inside.listens(lab.directory, LOOPBACK, lab.ports[port]):
            return False
        done = subprocess.run(
            [*inside.entering(lab.directory), *command],
            check=False, env=_environment(lab), stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        return done.returncode == 0

    inside.answers(lab.directory, name, answered)
