"""A day at a site in two acts, in which every part of the protocol has its turn.

Before the first act carol has all she needs. Then Slurm is away and a file is in the way of fay's
home: some requests are done, refused, set aside, put off, held, scheduled, cancelled or failed. In
the second act all of that is fixed, released, resumed and tried again, and everything ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from provisioner.spool.submit import drop
from tests.fault import invariant
from tests.fault.forms import Act, Form, Played
from tests.fault.points import NOWHERE, Aim, Nursery
from tests.support import databases

WAITING = {
    *("compute", "suspend-carol", "provision-dave", "provision-erin", "provision-greg"),
}
"""What waits at the end of the first act: for Slurm, a release, a time."""

ACTS = {"first": Act("0.5", WAITING), "second": Act("20")}
"""How long each act goes on."""

SOON = timedelta(seconds=12)
"""How long after the beginning erin's request is for."""

LANES = """
lanes:
  slurm: {first: 0.05, most: 0.1, batch: 2}
  nss: {first: 0.05, most: 0.2}
"""
_LEFT_OUT = ("  groups:", "  fs1:", "  slurm-b:", "  cluster-b:", "  hpc-storage:")


def user(name: str, verb: str = "provision", head: str = "") -> str:
    """Write a request for a person; its id names both."""
    return f"provisioner: 1\naction: user.{verb}\nid: {verb}-{name}\n{head}user: {{name: {name}}}\n"


def compute(number: int, users: str, identity: str) -> str:
    """Write a request for compute time."""
    return (
        f"provisioner: 1\naction: allocation.provision\nid: {identity}\nallocation:\n"
        f"  id: {number}\n  resource: cluster-a\n  project: {{code: cf{number}, pi: alice}}\n"
        f"  users: [{users}]\n"
    )


def control(verb: str, target: str, name: str = "") -> str:
    """Write an operator's request about another one or about a lane."""
    kind = verb.partition(".")[0]
    identity = name or f"{verb.replace('.', '-')}-{target}"
    return f"provisioner: 1\naction: {verb}\nid: {identity}\n{kind}: {target}\n"


WRONG = "provisioner: 1\naction: user.provison\nid: wrong\nuser: {name: ann}\n"

FIRST = {
    "alice.yaml": user("alice"),
    "bob.yaml": user("bob"),
    "fay.yaml": user("fay"),
    "compute.yaml": compute(7, "alice, bob", "compute"),
    "gone.yaml": user("carol", "suspend"),
    "wrong.yaml": WRONG,
    "dave.yaml": user("dave"),
    "hold-dave.yaml": control("request.hold", "provision-dave"),
    "greg.yaml": user("greg", head="not_before: 2099-01-01T00:00:00Z\n"),
    "pause.yaml": control("lane.pause", "nss", "pause"),
    "unpause.yaml": control("lane.unpause", "nss", "unpause"),
}
"""What is dropped in the first act, in this order."""

SECOND = {
    "release-dave.yaml": control("request.release", "provision-dave"),
    "back.yaml": user("carol", "resume"),
    "less.yaml": compute(7, "alice", "compute-less"),
}
"""What is dropped in the second act, beside the retry of the refused file."""

STEERING = {
    "cancel-greg.yaml": control("request.cancel", "provision-greg"),
    "retry-fay.yaml": control("request.retry", "provision-fay"),
}
"""What an operator asks for then, on any host."""

IDS = {
    *("provision-alice", "provision-bob", "provision-fay", "compute", "suspend-carol"),
    *("provision-dave", "request-hold-provision-dave", "provision-erin", "provision-greg"),
    *("pause", "unpause"),
}
LATER_IDS = {
    "request-release-provision-dave",
    *("request-cancel-provision-greg", "request-retry-provision-fay", "resume-carol"),
    *("compute-less", "retry-wrong"),
}

STATES = {
    **dict.fromkeys(IDS | LATER_IDS, ("done",)),
    "provision-greg": ("cancelled",),
    "wrong": ("refused",),
    "compute": ("done", "superseded"),
    "suspend-carol": ("done", "superseded"),
}
"""How each request may end: where they still wait then, the first for compute time is replaced, and
carol's suspension is lifted."""


class Stage:
    """The site of the scenario, which can be set back to the beginning of an act at any time."""

    def __init__(self, top: Path, nursery: Nursery, form: Form) -> None:
        self.root = top / "site"
        self.nursery, self.form = nursery, form
        self._top = top
        code = "import sys; from provisioner.cli.main import main; main(sys.argv[1:])"
        words = (sys.executable, "-c", code, "sandbox", str(self.root))
        subprocess.run(words, check=True, capture_output=True)
        config = self.root / "provisioner.yaml"
        text = _lean(config.read_text()) + LANES + form.configuration
        config.write_text(form.placed(text, self.root))
        self._journals: dict[str, str] = {}
        before = {"carol.yaml": user("carol"), "before.yaml": compute(3, "carol", "before")}
        self.drop(before)
        self.play("second")
        self.keep("start")
        self.set_first()
        self.keep("first")

    def play(self, act: str, aim: Aim = NOWHERE) -> Played:
        """Play an act. aim: where the service is killed."""
        with self.form.serving(self.root, aim) as serving:
            serving.play(ACTS[act])
        return serving.played

    def finish(self, act: str) -> None:
        """Play an act, and everything after it."""
        with self.form.serving(self.root) as serving:
            serving.play(ACTS[act])
            if act == "first":
                self.set_second()
                serving.play(ACTS["second"])

    def unsettled(self, name: str) -> list[str]:
        """Let the service read every object again; return what it still had to change."""
        self.drop({f"{name}.yaml": f"provisioner: 1\naction: reconcile\nid: {name}\n"})
        self.play("second")
        [row] = [row for row in invariant.rows(self.root) if row.writer_id == name]
        [result] = (self.root / "spool").glob(f"*/{row.id}-*.result.yaml")
        steps = yaml.safe_load(result.read_text())["steps"]
        failed = [f"mend {step['error']}" for step in steps if step.get("error")]
        return [*failed, *(text for step in steps for text in step.get("changed", ()))]

    def drop(self, texts: dict[str, str], *, aged: bool = True) -> None:
        """Drop requests, and wait until they are in; aged: in this order, whatever the clock
        says."""
        for number, (name, text) in enumerate(texts.items()):
            drop(self.root / "spool/staging", name, text.encode())
            with suppress(FileNotFoundError):  # one that runs has taken it: in this order, too
                if aged:
                    os.utime(self.root / "spool/staging" / name, (1_700_000_000 + number,) * 2)

    def set_first(self) -> None:
        """Set the first act: Slurm is away, a file is where fay's home should be."""
        (self.root / "slurm/bin/sacctmgr").rename(self.root / "slurm/bin/away")
        (self.root / "home/fay").write_text("in the way")
        self._due = datetime.now(UTC) + SOON
        head = f"not_before: {self._due.isoformat()}\n"
        self.drop({**FIRST, "erin.yaml": user("erin", head=head)})
        staging = self.root / "spool/staging"
        os.mkfifo(staging / "pipe.yaml", 0o600)
        (staging / "open.yaml").write_text(user("oscar"))
        (staging / "open.yaml").chmod(0o666)

    def set_second(self) -> None:
        """Set the second act: everything is fixed, and erin's time has come."""
        time.sleep(max(0.0, (self._due - datetime.now(UTC)).total_seconds()))
        (self.root / "slurm/bin/away").rename(self.root / "slurm/bin/sacctmgr")
        (self.root / "home/fay").unlink()
        [refused] = [
            path.name[:26]
            for path in (self.root / "spool/failed").iterdir()
            # By what it says: a file that a kill found between taking and acceptance lost its name.
            if path.is_file() and path.read_text() == WRONG
        ]
        self.drop({**SECOND, "retry.yaml": control("request.retry", refused, "retry-wrong")})
        self.form.steer(self.root, STEERING)

    def set_second_back(self) -> None:
        """Play the first act, set the second and keep it."""
        self.set_back("first")
        self.play("first")
        self.set_second()
        self.keep("second")

    def keep(self, name: str) -> None:
        """Keep the site as it is under a name."""
        shutil.rmtree(self._top / name, ignore_errors=True)
        _copy(self.root, self._top / name)
        self._journals[name] = databases.kept(self.root)

    def set_back(self, name: str) -> None:
        """Restore the site that was kept."""
        shutil.rmtree(self.root)
        _copy(self._top / name, self.root)
        databases.set_back(self.root, self._journals[name])


def _copy(source: Path, target: Path) -> None:
    """Copy a site, FIFOs included; the emulated host knows owners by inode."""
    subprocess.run(["cp", "-a", source, target], check=True)
    owners = target / "host/owners.jsonl"
    paths = {_inode(path): path.relative_to(source) for path in source.rglob("*")}
    lines = owners.read_text().split() if owners.exists() else []
    noted = [json.loads(line) for line in lines]
    moved = [[_inode(target / paths[key]), owner] for key, owner in noted if key in paths]
    owners.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in moved))


def _inode(path: Path) -> str:
    found = path.lstat()
    return f"{found.st_dev}:{found.st_ino}"


def _lean(text: str) -> str:
    """Return the sandbox's configuration without the parts that the scenario does not use."""
    kept: list[str] = []
    leaving = False
    for line in text.splitlines(keepends=True):
        if not line.startswith("   "):
            leaving = line.startswith(_LEFT_OUT)
        if not leaving:
            kept.append(line)
    return "".join(kept)
