"""A soak: `python -m tests.fault.soak [MINUTES] [SEED]`, which is `make soak`.

A stream of requests, some superseding others, goes to the service of a sandbox, while the service
and the programs of its backends are killed at random, and Slurm or a directory is taken away now
and then. The emulated directories live in the service, and die with it in the middle of a write;
`tests/service/test_backends_die.py` kills real daemons. At the end nothing is disturbed any more,
and each request that a writer was told is in must have exactly one outcome, with every object as it
is wanted.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from tests.fault import invariant
from tests.fault.forms import Alone
from tests.fault.points import Nursery
from tests.fault.scenario import Stage, compute, user

BACKENDS = {"slurm": "slurm/bin/sacctmgr", "ad": "ad.json", "lds": "lds.json"}
"""What each backend of the sandbox is not there without."""

PEOPLE = 12
PROJECTS = 4


class Soak:
    """One soak. kills: of the service; shot: programs of backends; away: times each was away."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.chance = random.Random(seed)
        self.dropped: list[str] = []
        self.kills = self.shot = 0
        self.away: Counter[str] = Counter()
        self._orders: Counter[str] = Counter()
        self._service = self._start()

    def _start(self) -> int:
        return self.stage.nursery.start(self.stage.root, "run")

    def request(self) -> None:
        """Drop one request, as a portal or an operator would."""
        chance = self.chance
        identity = f"soak-{len(self.dropped)}"
        person = f"p{chance.randrange(PEOPLE)}"
        number = 100 + chance.randrange(PROJECTS)
        match chance.randrange(8):
            case 0:
                text = user(person, "suspend")
            case 1:
                text = user(person, "resume")
            case 2 | 3 | 4:
                members = ", ".join(f"p{n}" for n in range(PEOPLE) if chance.random() < 0.4)
                # Now and then an old one comes late.
                self._orders[str(number)] += chance.choice((1, 1, 1, 0))
                late = self._orders[str(number)] - (chance.random() < 0.2)
                order = f"order: {{key: cf{number}, number: {max(0, late)}}}\n"
                text = compute(number, members or "p0", "ID").replace(
                    "id: ID\n", f"id: ID\n{order}"
                )
            case _:
                text = user(person)
        lines = [f"id: {identity}" if one.startswith("id: ") else one for one in text.splitlines()]
        self.stage.drop({f"{identity}.yaml": "\n".join(lines) + "\n"}, aged=False)
        self.dropped.append(identity)

    def kill_service(self) -> None:
        """Kill the service, with what it runs or without, and start the next one."""
        os.kill(self._service, signal.SIGKILL)
        self.stage.nursery.end(self._service)
        self.kills += 1
        self._service = self._start()

    def shoot(self) -> None:
        """Kill a backend's program that the service is running."""
        try:
            tasks = Path(f"/proc/{self._service}/task")
            children = [
                int(child)
                for task in tasks.iterdir()
                for child in (task / "children").read_text().split()
            ]
        except OSError:  # it ended
            return
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.shot += 1

    def take_away(self) -> None:
        """Take a backend away for a moment."""
        name = self.chance.choice(sorted(BACKENDS))
        part = self.stage.root / BACKENDS[name]
        part.rename(part.with_name("away"))
        time.sleep(self.chance.uniform(0.1, 1))
        part.with_name("away").rename(part)
        self.away[name] += 1

    def end(self) -> list[str]:
        """Disturb nothing any more; return what is wrong at the end."""
        os.kill(self._service, signal.SIGTERM)
        self.stage.nursery.end(self._service)
        self.stage.play("second")
        # What a kill of a backend's program made fail is mended; after that nothing may be left.
        self.stage.unsettled("mend")
        again = [f"reconcile still had to: {text}" for text in self.stage.unsettled("again")]
        return invariant.violations(self.stage.root, self.dropped) + again


def reasons(root: Path) -> Counter[str]:
    """Return how often requests failed for each reason, without the names in it."""
    counts: Counter[str] = Counter()
    for result in (root / "spool/failed").glob("*.result.yaml"):
        for step in yaml.safe_load(result.read_text()).get("steps", ()):
            message = str(step.get("error", {}).get("message", ""))
            if message and not message.startswith("needs "):
                counts[re.sub(r"\b(p|cf)\d+\b", r"\1N", message)[:300]] += 1
    return counts


def soak(minutes: float, seed: int) -> int:
    """Soak, print the figures, and show by the exit code whether anything was lost."""
    nursery = Nursery()
    with tempfile.TemporaryDirectory(prefix="provisioner-soak.") as top:
        stage = Stage(Path(top), nursery, Alone(nursery))
        stage.set_back("start")
        running = Soak(stage, seed)
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            running.request()
            time.sleep(running.chance.expovariate(20))
            fate = running.chance.random()
            if fate < 0.02:
                running.kill_service()
            elif fate < 0.12:
                running.shoot()
            elif fate < 0.14:
                running.take_away()
        amiss = running.end()
        rows = [row for row in invariant.rows(stage.root) if row.writer_id in set(running.dropped)]
        times = Counter(row.writer_id for row in rows)
        outcomes = invariant.outcomes(stage.root)
        states = Counter(row.state for row in rows)
        lost = [one for one in running.dropped if not times[one]]
        lost += [row.id for row in rows if row.state not in invariant.ENDED]
        twice = [row.id for row in rows if times[row.writer_id] > 1 or outcomes[row.id] > 1]
        why = reasons(stage.root)
    nursery.close()
    away = ", ".join(f"{name} {running.away[name]}" for name in BACKENDS)
    print(
        f"service killed: {running.kills}  programs killed: {running.shot}  "
        f"away: {away}\n"
        f"accepted: {len(rows)}  done: {states['done'] + states['superseded']}  "
        f"failed: {states['failed']}  lost: {len(lost)}  with two outcomes: {len(twice)}"
    )
    for reason, number in why.most_common(5):
        print(f"failed {number} times: {reason}")
    for text in amiss:
        print(text)
    return 1 if lost or twice or amiss else 0


if __name__ == "__main__":
    sys.exit(
        soak(
            float(sys.argv[1]) if len(sys.argv) > 1 else 10,
            int(sys.argv[2]) if len(sys.argv) > 2 else 1,
        )
    )
