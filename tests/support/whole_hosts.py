"""Whole hosts: each with a network, a name and files of its own, where a page's commands are typed.

Promises: what a host writes outside of what hosts share stays in a directory of its own, and the
machine as it was. A host has the program where an installation has it, the shipped units, the user
`provisioner`, and stand-ins for systemctl and scp. Hosts share emulated backends: each reaches the
same. Leaves out: systemd, ssh, and passwords of the server. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import servers
from tests.support.networks import Network, network

ROOT = Path(__file__).parents[2]
USER = 64990
"""A uid that nobody has."""

_SCP = """#!/bin/sh
set -e
[ "$1" != -q ] || shift
host=${2%%:*} place=${2#*:}
[ "$place" = /etc/provisioner/ ] || exit 1
cp "$1" "@TOP@/$host/etc/"
"""

_ON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Host:
    """One of them. top: the directory of all."""

    network: Network
    name: str
    top: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Where its files are."""
        return self.top / self.name / "root"

    def __call__(self, command: str, *, code: int | None = 0) -> str:
        """Type a command as root; return what it prints."""
        words = ["chroot", str(self.root), "bash", "-ec", command]
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *words]
        done = subprocess.run(
            [*self.network.enter(self.name), *named],
            env={"PATH": _ON_PATH, "LC_ALL": "C.UTF-8", **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        said = f"{self.name}# {command}\n{done.stdout}{done.stderr}"
        print(said)
        assert code is None or done.returncode == code, f"{said}ended with {done.returncode}"
        return done.stdout

    def make(self, backends: Path, names: Sequence[str]) -> None:
        """Give it its files."""
        mine = self.top / self.name
        for part in ("root", "upper", "work", "etc"):
            (mine / part).mkdir(parents=True)
        layers = f"lowerdir=/,upperdir={mine}/upper,workdir={mine}/work"
        _run("mount", "-t", "overlay", "-o", layers, "none", str(self.root))
        self._let_pass(Path(sys.executable).resolve(), ROOT, self.top, backends)
        for place in ("proc", "sys", "dev"):
            _run("mount", "--rbind", f"/{place}", str(self.root / place))
            _run("mount", "--make-rslave", str(self.root / place))
        _run("mount", "-t", "tmpfs", "none", str(self.root / "run"))
        for shared in (ROOT, self.top, backends):
            if not str(shared).startswith(f"{self.top}/"):
                self.bind(shared, shared)
        self.bind(mine / "etc", Path("/etc/provisioner"))
        self._fill(names)

    def bind(self, what: Path, where: Path) -> None:
        """Give it a directory of the machine."""
        place = self.root / str(where).lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(what), str(place))

    def _let_pass(self, *needed: Path) -> None:
        """Let all users of the host pass to what they run: Python may be below the home of root."""
        for place in {parent for path in needed for parent in path.parents}:
            inside = self.root / str(place).lstrip("/")
            if inside.exists():
                inside.chmod(inside.stat().st_mode | 0o011)

    def _fill(self, names: Sequence[str]) -> None:
        etc = self.root / "etc"
        with (etc / "passwd").open("a") as file:
            file.write(f"provisioner:x:{USER}:{USER}::/var/lib/provisioner:/bin/bash\n")
        with (etc / "group").open("a") as file:
            file.write(f"provisioner:x:{USER}:\nprovisioner-requests:x:{USER + 1}:provisioner\n")
        lines = [f"{self.network.address(name)} {name}" for name in names]
        (etc / "hosts").write_text("127.0.0.1 localhost\n" + "\n".join(lines) + "\n")
        programs = self.root / "opt/provisioner/bin"
        programs.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).parent / "provisioner"
        (programs / "provisioner").symlink_to(program)
        shipped = self.root / "opt/provisioner/share/provisioner/systemd"
        shutil.copytree(ROOT / "deploy/systemd", shipped)
        units = etc / "systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        for unit in shipped.glob("provisioner*.service"):
            shutil.copy(unit, units)
        for place, mode in (("var/lib", 0o700), ("var/spool", 0o711)):
            made = self.root / place / "provisioner"
            made.mkdir(mode=mode)
            made.chmod(mode)
            os.chown(made, USER, USER)
        local = self.root / "usr/local/sbin"
        self._program(local / "scp", _SCP.replace("@TOP@", str(self.top)))
        python = f'cd {ROOT}; exec {sys.executable} -m tests.support.systemctl "$@"'
        self._program(local / "systemctl", f"#!/bin/sh\n{python}\n")
        self._program(local / "provisioner", f'#!/bin/sh\nexec {program} "$@"\n')

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def end(self) -> None:
        """Stop what runs on it, and take its files away."""
        pids = (self.root / "run/units").glob("*.pid")
        units = [file.stem for file in pids]
        try:
            if units:
                self(f"systemctl stop {' '.join(units)}")
        finally:
            _run("umount", "--recursive", "--lazy", str(self.root))


@contextmanager
def hosts(top: Path, backends: Path, *names: str) -> Iterator[dict[str, Host]]:
    """Give some hosts, the last of which has a PostgreSQL. top: a new directory, which all pass."""
    with network() as net, ExitStack() as running:
        for name in names:
            net.add(name)
        database = names[-1]
        place = top.parent / "pg"
        place.mkdir(mode=0o755)
        server = servers.primary(net, database, place / "cluster")
        running.callback(server.kill)
        made = {name: Host(net, name, top) for name in names}
        for host in made.values():
            host.make(backends, names)
            running.callback(host.end)
        socket = str(server.directory)
        made[database].bind(place, place)
        made[database].environment |= {"PGHOST": socket}
        yield made


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
