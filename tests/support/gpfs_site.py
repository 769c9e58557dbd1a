"""An emulated file system in a directory, and a site whose handler works on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from handlers.emulators.gpfs import mm
from handlers.gpfs.handler import FilesetHandler, build
from provisioner.contract import Claim, Completed, Key, Run, Site, State
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.applied import Applied
from provisioner.objects.items import Former, Item
from provisioner.routing.expressions import render_text
from provisioner.system.process import run

TEMPLATES = Path(__file__).parents[2] / "templates"
WRITES = {"mmcrfileset", "mmlinkfileset", "mmchfileset", "mmsetquota", "mmputacl", "chown", "chmod"}


class Crash(BaseException):
    """The service dies: nothing catches this. done: what ran before."""

    def __init__(self, done: Completed | None = None) -> None:
        super().__init__()
        self.done = done


class FileSystem:
    """One emulated file system. calls: commands that ran; crash_after: writes until the service
    dies; meanwhile: called with each command's name right before it; runs: runs the commands, such
    as an agent's."""

    creation = ("mmcrfileset", "mmsetquota", "mmlinkfileset")
    """Commands that make a fileset with a quota, in their order."""

    def __init__(self, directory: Path, real_ownership: bool = False) -> None:
        self.directory = directory
        self.bin = mm.install(directory, real_ownership=real_ownership)
        self.mount = directory / "fs1"
        self.calls: list[tuple[str, ...]] = []
        self.crash_after: int | None = None
        self.meanwhile: Callable[[str], object] = lambda command: None
        self.runs: Run = run

    def faults(self, **switches: object) -> None:
        """Set the switches of the emulator; without any, all is well."""
        (self.directory / "faults.json").write_text(json.dumps(switches), encoding="utf-8")

    def handler(self, **settings: object) -> FilesetHandler:
        """Build a handler whose writes are counted."""
        paths = {"mm_path": str(self.bin), "tools": str(self.bin)}
        built = build(self.site(), {"filesystem": "fs1", **paths, **settings})
        assert isinstance(built, FilesetHandler)
        return built

    def site(self, secret: Callable[[str], str] = lambda name: "") -> Site:
        """Return what a handler is built with."""
        return Site(
            instance="fs1",
            service="hpc1",
            run=self._run,
            host=None,  # type: ignore[arg-type]
            render=render_text,
            template=lambda name: TEMPLATES / name,
            secret=secret,
        )

    def _run(self, argv: Sequence[str], **more: Any) -> Completed:
        words = argv[1:] if argv[0] == "agent" else argv
        name = Path(words[0]).name
        self.meanwhile(name)
        # A GUI's command may still run when a test looks.
        self.calls.append((name, *words[1:]))
        done = self.runs(argv, **more)
        if name in WRITES and self.crash_after is not None:
            self.crash_after -= 1
            if not self.crash_after:
                self.crash_after = None
                raise Crash(done)
        return done

    def written(self) -> list[str]:
        """Return the commands that wrote since the last call of this method."""
        names = [call[0] for call in self.calls if call[0] in WRITES]
        self.calls.clear()
        return names

    def mm(self, command: str, *args: str) -> str:
        """Run a command as an operator; it must succeed."""
        done = run([str(self.bin / command), *args])
        assert not done.returncode, done.stderr
        return done.stdout


class Ledger:
    """Claims and what was saved, as the engine keeps them between runs."""

    def __init__(self, handler: FilesetHandler) -> None:
        self.handler = handler
        self.claims: dict[Key, dict[str, Claim]] = {}
        self.priors: dict[Key, State] = {}
        self.applied: dict[Key, Applied] = {}

    def provision(self, claimant: str = "allocation:1", **params: object) -> Key:
        """Claim a fileset."""
        ((key, want),) = self.handler.claims(params).items()
        self.claims.setdefault(key, {})[claimant] = Claim(claimant, want)
        return key

    def suspend(self, key: Key, suspended: bool = True) -> None:
        """Suspend all claims on an object, or lift the suspension."""
        self.claims[key] = {
            who: Claim(who, claim.want, suspended) for who, claim in self.claims[key].items()
        }

    def run(self, *keys: Key) -> dict[Key, Outcome]:
        """Converge objects; saved values are dropped once an open object has converged."""
        chosen = keys or tuple(self.claims)
        items = [
            Item(
                k,
                tuple(self.claims[k].values()),
                self.priors.get(k),
                applied=self.applied.get(k, {}),
            )
            for k in chosen
        ]
        outcomes = {o.item.key: o for o in converge(self.handler, items, self._save)}
        for key, outcome in outcomes.items():
            if outcome.fault is None and outcome.item.open:
                self.priors.pop(key, None)
            if outcome.applied is not None:
                self.applied[key] = outcome.applied
        return outcomes

    def _save(self, former: Former) -> None:
        self.priors.update(former.priors)
        self.applied.update(former.applied)

    def converged(self, *keys: Key) -> dict[str, Any]:
        """Converge and return the state of the one object, or of the first."""
        outcomes = self.run(*keys)
        faults = {k: o.fault for k, o in outcomes.items() if o.fault}
        assert not faults, faults
        return dict(next(iter(outcomes.values())).state or {})
