"""Handlers keep the contract: homes, sites' programs, gates and filesets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from handlers import command, home_directory, nss_gate
from handlers.emulators import getent
from handlers.emulators.gpfs import mm
from handlers.emulators.gpfs.gui import Gui
from handlers.emulators.host import EmulatedHost
from handlers.gpfs import handler as gpfs_fileset
from provisioner.agent.client import Agent, AgentHost, runner
from provisioner.contract import Handler, Host, Owner, Run
from provisioner.system.directories import RealHost
from provisioner.system.process import run
from provisioner.testing import HandlerContract, site
from tests.support import agent_sites, gpfs_gui
from tests.support.acls import AS_ROOT
from tests.support.ad_backends import emulated

TEMPLATES = Path(__file__).parents[2] / "templates"


class TestHomesOfAnEmulatedHost(HandlerContract):
    params = {"name": "jdoe", "uid": 20001, "gid": 20001}
    other_params = {"name": "jdoe", "uid": 20001, "gid": 20002, "mode": "0750"}
    more_params = [{"name": name, "uid": 20003, "gid": 20003} for name in ("asmith", "a.b-c")]
    bad_params = [
        ("uid", {"name": "jdoe", "uid": 0, "gid": 20001}),
        ("gid", {"name": "jdoe", "uid": 20001, "gid": 0}),
        ("uid", {"name": "jdoe", "uid": "root", "gid": 20001}),
        ("mode", {**params, "mode": "0888"}),
        ("mode", {**params, "mode": "70000"}),
        ("name", {**params, "name": ""}),
        ("nmae", {**params, "nmae": "jdoe"}),
    ]
    late = ["uid", "gid"]
    varying = ["path"]

    def prepare(self, directory: Path) -> None:
        self.root = directory / "home"
        self.root.mkdir(mode=0o755)
        self.host = self.make_host(directory)

    def make_host(self, directory: Path) -> Host:
        return EmulatedHost(directory / "host")

    def handler(self) -> Handler:
        return self.below(self.root)

    def away(self) -> Handler:
        return self.below(self.root / "nowhere")

    def below(self, root: Path) -> Handler:
        built = site(self.instance, host=self.host, templates=TEMPLATES)
        return home_directory.build(built, {"root": str(root), "acl": "g:4711:r-x"})

    def rearrange(self) -> None:
        self.host.set_mode(self.root, "jdoe", mode=0o2750)

    def disturb(self) -> None:
        self.host.set_mode(self.root, "jdoe", mode=0o755)

    def disown(self) -> None:
        self.host.set_owner(self.root, "jdoe", owner=Owner(20009, 20009))


class TestHomesOfThisHost(TestHomesOfAnEmulatedHost):
    pytestmark = AS_ROOT

    def make_host(self, directory: Path) -> Host:
        return RealHost()


class TestHomesByAnAgent(TestHomesOfThisHost):
    """With the configuration that is shipped."""

    def make_host(self, directory: Path) -> Host:
        places = {
            '"/home"': f'"{self.root}"',
            "/opt/provisioner/share/provisioner/templates": TEMPLATES,
        }
        return AgentHost(agent_sites.shipped(directory, places))

    def below(self, root: Path) -> Handler:
        if root != self.root:  # nobody answers
            return home_directory.build(
                site(self.instance, host=AgentHost(Agent("/nowhere/agent.sock"))),
                {"root": str(root), "skeleton": None},
            )
        return super().below(root)


class TestASitesOwnProgram(HandlerContract):
    params = {"name": "jdoe", "kind": "page", "title": "J. Doe", "owner": "jdoe"}
    other_params = {**params, "title": "Dr. J. Doe"}
    more_params = [{"name": name, "kind": "page", "title": name} for name in ("asmith", "a.b-c")]
    bad_params = [
        ("name", {**params, "name": ""}),
        ("kind", {**params, "kind": ""}),
        ("title", {**params, "title": {1, 2}}),
    ]
    names = ["name", "kind"]
    late = ["title", "owner"]
    lists = False
    owns = False  # whose a page is is the program's own matter
    varying = ["path"]

    def prepare(self, directory: Path) -> None:
        self.base = directory

    def handler(self) -> Handler:
        return self.over(self.base)

    def away(self) -> Handler:
        return self.over(self.base / "nowhere")

    def over(self, base: Path) -> Handler:
        program = [sys.executable, "-IS", str(TEMPLATES / "command/sample.py"), str(base)]
        return command.build(site(self.instance), {"program": program})

    def disturb(self) -> None:
        (self.base / "page-jdoe.json").unlink()


class TestAGateOfUsers(HandlerContract):
    params = {"user": "jdoe"}
    other_params = {"user": "jdoe", "uid": 10_000}
    more_params = [{"user": "asmith", "uid": 10_001}, {"group": "cf3", "gid": 20_000}]
    absent_params = {"user": "nobody-here"}
    bad_params = [
        ("user", {}),
        ("user", {"user": "jdoe", "group": "cf3"}),
        ("uid", {"user": "jdoe", "uid": "ten"}),
        ("gid", {"user": "jdoe", "gid": 100}),
        ("name", {"name": "jdoe"}),
    ]
    names = ["user"]
    late = ["uid"]
    reads_only = True
    lists = False
    owns = False

    def prepare(self, directory: Path) -> None:
        self.ad = emulated(directory, "ad")
        self.ad.user("jdoe", uidNumber=10_000, gidNumber=100)
        self.ad.user("asmith", uidNumber=10_001, gidNumber=100)
        group: dict[str, Any] = {"objectClass": ["top", "group"], "sAMAccountName": "cf3"}
        self.ad.directory().add(f"CN=cf3,OU=groups,{self.ad.base}", {**group, "gidNumber": 20_000})
        self.program = str(getent.install(directory / "bin", directory / "ad.json"))

    def handler(self) -> Handler:
        return self.asking(self.program)

    def away(self) -> Handler:
        return self.asking("/nowhere/getent")

    def asking(self, program: str) -> Handler:
        asked = {name: [program, name] for name in ("passwd", "group")}
        return nss_gate.build(site(self.instance), asked)

    def disturb(self) -> None:
        self.ad.directory().modify(
            f"cn=jdoe,OU=people,{self.ad.base}", [("replace", "uidNumber", [])]
        )


class TestAGateOfGroups(TestAGateOfUsers):
    params = {"group": "cf3"}
    other_params = {"group": "cf3", "gid": 20_000}
    more_params = [{"user": "asmith", "uid": 10_001}, {"user": "jdoe"}]
    absent_params = {"group": "nobody-here"}
    bad_params = [
        ("user", {"user": "jdoe", "group": "cf3"}),
        ("gid", {"group": "cf3", "gid": "ten"}),
        ("uid", {"group": "cf3", "uid": 10_000}),
    ]
    names = ["group"]
    late = ["gid"]

    def disturb(self) -> None:
        self.ad.directory().modify(
            f"CN=cf3,OU=groups,{self.ad.base}", [("replace", "gidNumber", [])]
        )


class TestFilesets(HandlerContract):
    params = {"fileset": "cf3", "quota": "5TiB", "files": 20000, "gid": 3001}
    other_params = {**params, "quota": "6TiB", "gid": 3002}
    more_params = [{"fileset": name, "quota": "1GiB", "acl": "project"} for name in ("a", "b.c")]
    bad_params = [
        ("fileset", {**params, "fileset": "root"}),
        ("uid", {**params, "uid": 0}),
        ("quota", {**params, "quota": "many"}),
        ("quota", {**params, "quota": 0}),
        ("path", {**params, "path": "../x"}),
        ("parent", {**params, "parent": "b"}),
        ("qouta", {**params, "qouta": "5TiB"}),
    ]
    names = ["fileset"]
    late = ["uid", "gid", "group", "quota", "files"]
    varying = ["path", "mount"]

    def prepare(self, directory: Path) -> None:
        self.bin = mm.install(directory)
        self.mount = directory / "fs1"

    def handler(self) -> Handler:
        return self.by(self.bin)

    def away(self) -> Handler:
        return self.by(self.bin / "nowhere")

    def by(self, commands: Path, run: Run = run, **settings: object) -> Handler:
        built = site(self.instance, templates=TEMPLATES, run=run)
        paths = {"mm_path": str(commands), "tools": str(commands), **settings}
        return gpfs_fileset.build(built, {"filesystem": "fs1", "acl": "project", **paths})

    def rearrange(self) -> None:
        chown = [str(self.bin / "chown"), "-h", "2001:3001", str(self.mount / "cf3")]
        assert not run(chown).returncode

    def disturb(self) -> None:
        assert not run([str(self.bin / "mmsetquota"), "fs1:cf3", "--block", "1G:1G"]).returncode

    def disown(self) -> None:
        change = [str(self.bin / "mmchfileset"), "fs1", "cf3", "-t", "made by hand"]
        assert not run(change).returncode


class TestFilesetsByRest(TestFilesets):
    """Over the emulated GUI, which runs the same commands."""

    def prepare(self, directory: Path) -> None:
        super().prepare(directory)
        self.server, self.authority = gpfs_gui.server()
        self.server.gui = Gui(directory)

    def handler(self) -> Handler:
        return self.at(self.server.url)

    def away(self) -> Handler:
        return self.at("https://127.0.0.1:1")

    def at(self, url: str) -> Handler:
        built = site(self.instance, templates=TEMPLATES, run=run, secrets=gpfs_gui.SECRETS)
        rest = {
            "filesystem": "fs1", "acl": "project", "transport": "rest", "gui": [url],
            "user": "gui-user", "password": "gui-password", "ca_file": self.authority,
            "poll": 0.01, "tools": self.bin,
        }  # fmt: skip
        return gpfs_fileset.build(built, rest)


class TestFilesetsByAnAgent(TestFilesets):
    """With the configuration that is shipped: it shows every command, and no more is needed."""

    pytestmark = AS_ROOT

    def prepare(self, directory: Path) -> None:
        super().prepare(directory)
        places = {"/usr/lpp/mmfs/bin": self.bin, "/gpfs/fs1": self.mount}
        tools = {f"/usr/bin/{name}": self.bin / name for name in ("chown", "chmod", "stat")}
        self.run = runner({"agent": agent_sites.shipped(directory, {**places, **tools})})

    def handler(self) -> Handler:
        return self.by(self.bin, self.run, prefix=["agent"])

    def away(self) -> Handler:
        return self.by(self.bin, self.run, prefix=["agent:nowhere"])
