"""The units: checked by systemd itself, and the service under them as a user without power."""

from __future__ import annotations

import grp
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import agents
from tests.support.cli_site import PROGRAM, user

UNITS = Path(__file__).parents[2] / "deploy/systemd"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-socket-activate") is None,
    reason="needs root and systemd",
)

EXPOSURE = {
    "provisioner.service": 17,
    "provisioner-lanes@.service": 14,
    "provisioner-agent@.service": 15,
}
"""In tenths, as `systemd-analyze security` of Debian 12 counts: at most this."""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False
    )


@needs_systemd
@pytest.mark.parametrize("unit", EXPOSURE)
def test_a_unit_is_exposed_no_more_than_its_work_needs(unit: str) -> None:
    most = f"--threshold={EXPOSURE[unit]}"
    done = analyze("security", "--offline=true", most, str(UNITS / unit))
    [said] = re.findall(r"Overall exposure level.*", done.stdout)
    print(said)
    assert done.returncode == 0, said


@needs_systemd
def test_systemd_finds_nothing_wrong_in_the_units(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in (*EXPOSURE, "provisioner-agent.socket"):
        text = (UNITS / unit).read_text()
        (tmp_path / unit).write_text(
            re.sub(r"/opt/provisioner/bin/\S+", str(program), text).replace(
                "file:/opt/provisioner/share/provisioner/README.md", "man:systemd(1)"
            )
        )
    done = analyze(
        "verify",
        "--man=no",
        *(str(tmp_path / name) for name in (*EXPOSURE, "provisioner-agent.socket")),
    )
    assert (done.returncode, done.stderr) == (0, "")


# Without power.

SERVICE, GROUP = 64990, "games"
"""A uid that nobody has, and a group that every Debian has."""

POLICY = "policy: {rules: [{who: ['*'], actions: [user.provision]}]}"


def capabilities() -> list[str]:
    """List what the unit leaves the service."""
    text = (UNITS / "provisioner.service").read_text()
    [ambient] = re.findall(r"^AmbientCapabilities=(.*)$", text, re.M)
    [bounding] = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.M)
    assert ambient == bounding
    return [name.removeprefix("CAP_").lower() for name in ambient.split()]


def powerless(*words: str) -> list[str]:
    """Give a command as the unit would run it."""
    kept = ",".join(f"+{name}" for name in capabilities())
    group = grp.getgrnam(GROUP).gr_gid
    return [
        "setpriv", f"--reuid={SERVICE}", f"--regid={SERVICE}", f"--groups={group}",
        f"--inh-caps=-all,{kept}", f"--ambient-caps=-all,{kept}", f"--bounding-set=-all,{kept}",
        "--no-new-privs", *words,
    ]  # fmt: skip


@pytest.fixture
def top() -> Iterator[Path]:
    """Give a directory that others may pass through to; pytest's own are shut."""
    with TemporaryDirectory(dir="/var/tmp") as top:
        Path(top).chmod(0o755)
        yield Path(top)


class Site:
    """A sandbox that belongs to the powerless user, but for its homes: these are root's."""

    def __init__(self, top: Path) -> None:
        self.root, self.homes, self.socket = top / "site", top / "home", top / "agent.sock"
        self.homes.mkdir(mode=0o755)
        self.root.mkdir()
        os.chown(self.root, SERVICE, SERVICE)
        self.environment = {**os.environ, "HOME": str(self.root)}
        self("sandbox", str(self.root / "box"))
        self.config = self.root / "box/provisioner.yaml"
        text = self.config.read_text()
        host = f"host: {{socket: {self.socket}}}"
        for old, new in {
            "host: {emulated: host}": f"{host}\nstaging_group: {GROUP}\n{POLICY}",
            f"{self.root}/box/home": f"{self.homes}",  # what LDS says, too
        }.items():
            assert old in text
            text = text.replace(old, new)
        self.config.write_text(text)
        self.environment["PROVISIONER_CONFIG"] = str(self.config)
        self.spool = self.root / "box/spool"
        self("init")
        self.rules = agents.write_rules(
            top / "etc/agent.toml",
            roots=[self.homes],
            skeletons={"home": UNITS.parents[1] / "templates/home"},
        )
        self.rules.write_text(f"allow = [{SERVICE}]\n" + self.rules.read_text())

    def __call__(self, *words: str) -> str:
        """Run a verb as the powerless user."""
        done = subprocess.run(
            powerless(*PROGRAM, *words),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def agent(self) -> Iterator[None]:
        """Listen as systemd does for the socket unit, as root."""
        argv = ["systemd-socket-activate", "--accept", "--inetd", f"--listen={self.socket}"]
        with subprocess.Popen(
            [*argv, *agents.command(self.rules)], stderr=subprocess.DEVNULL
        ) as process:
            try:
                while not self.socket.exists():
                    assert process.poll() is None
                    time.sleep(0.02)
                os.chown(self.socket, SERVICE, SERVICE)
                self.socket.chmod(0o600)
                yield
            finally:
                process.terminate()

    @contextmanager
    def service(self, heard: list[str]) -> Iterator[int]:
        """Have the service run, and hear what it tells systemd."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.root / "notify"))
            os.chown(self.root / "notify", SERVICE, SERVICE)
            told = {"NOTIFY_SOCKET": str(self.root / "notify"), "WATCHDOG_USEC": "3000000"}
            with subprocess.Popen(
                powerless(*PROGRAM, "run"), env={**self.environment, **told}, stderr=-1, text=True
            ) as process:
                try:
                    manager.settimeout(0.1)
                    while not heard:
                        assert process.poll() is None, process.communicate()[1]
                        with suppress(TimeoutError):
                            heard.append(manager.recv(100).decode())
                    yield process.pid
                finally:
                    process.send_signal(signal.SIGTERM)
                    said = process.communicate(timeout=60)[1]
                    manager.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        while True:
                            heard.append(manager.recv(100).decode())
                assert process.returncode == 0, said

    def drop(self, name: str, *, uid: int, mode: int) -> None:
        """Put a request into staging, as another user who keeps the file to themselves."""
        path = self.root / name
        path.write_text(user(name.removesuffix(".yaml")))
        path.chmod(mode)
        os.chown(path, uid, uid)
        path.rename(self.spool / "staging" / name)

    def ended(self, count: int) -> list[str]:
        """Wait until so many requests have ended; list their files."""
        while True:
            found = [
                path.relative_to(self.spool).as_posix()
                for place in ("done", "failed", "quarantine")
                for path in (self.spool / place).iterdir()
                if not path.name.startswith(".") and not path.name.endswith(".result.yaml")
            ]
            if len(found) >= count:
                return found
            time.sleep(0.05)

    def said(self, paths: list[str]) -> str:
        """Give the results of requests."""
        return "\n".join((self.spool / f"{path}.result.yaml").read_text() for path in paths)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


CAPABILITIES = {"dac_read_search": 2, "lease": 28}
"""Numbers of linux/capability.h."""


@pytest.mark.root
@needs_root
def test_a_service_without_power_serves_others_files_and_root_makes_the_homes(top: Path) -> None:
    site, heard = Site(top), list[str]()
    with site.agent(), site.service(heard) as pid:
        found = status(pid)
        assert set(found["Uid"].split()) == {str(SERVICE)}
        assert found["NoNewPrivs"] == "1"
        bits = sum(1 << CAPABILITIES[name] for name in capabilities())
        assert {int(found[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Bnd")} == {bits}
        site.drop("gruber.yaml", uid=30001, mode=0o600)
        site.drop("jdoe.yaml", uid=30002, mode=0o400)
        ended = site.ended(2)
        assert all(path.startswith("done/") for path in ended), site.said(ended)
    assert "READY=1" in heard[:2] and heard[-1] == "STOPPING=1"
    assert "WATCHDOG=1" in heard
    for name in ("gruber", "jdoe"):
        home = site.homes / name
        assert 20000 <= home.stat().st_uid < 30000
        assert {path.lstat().st_uid for path in home.iterdir()} == {home.stat().st_uid}
    log = site.rules.with_suffix(".log").read_text()
    assert f'"who": "uid {SERVICE}, process {pid}"' in log


@pytest.mark.root
@needs_root
def test_a_service_without_power_sets_aside_what_is_no_file_and_leaves_others_directories(
    top: Path,
) -> None:
    site = Site(top)
    staging = site.spool / "staging"
    (staging / "link.yaml").symlink_to("/etc/shadow")
    os.mkfifo(staging / "fifo.yaml")
    (staging / "directory.yaml").mkdir()
    for path in staging.iterdir():
        os.chown(path, 30001, 30001, follow_symlinks=False)
    with site.service([]):
        ended = site.ended(2)
    assert {path.split("/")[0] for path in ended} == {"quarantine"}
    assert {path.rpartition("-")[2] for path in ended} == {"link.yaml", "fifo.yaml"}
    assert [path.name for path in staging.iterdir() if path.is_dir()] == ["directory.yaml"]


@pytest.mark.root
@needs_root
def test_nobody_else_is_answered_by_the_agent(top: Path) -> None:
    site = Site(top)
    with site.agent():
        site.socket.chmod(0o666)
        for uid, answer in ((SERVICE, '"ok": true'), (SERVICE + 1, "may not ask")):
            with socket.socket(socket.AF_UNIX) as asking:
                os.seteuid(uid)  # who asks is who connects
                try:
                    asking.connect(str(site.socket))
                finally:
                    os.seteuid(0)
                asking.sendall(b'{"verb": "hello"}\n')
                assert answer in asking.makefile().readline()
