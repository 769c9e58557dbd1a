"""The figures of the lab: one new user beside a straight script, a thousand into Slurm, and a
thousand new ones everywhere beside the slowest backend.

Run inside the lab, as root: deploy/lab/enter DIR python -m tests.bench.lab DIR. Both sides of each
comparison run in this one process, in turn, and read back what they wrote.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from handlers.slurm.writes import CHUNK
from provisioner.config import schema as configuration
from provisioner.contract import Claim, Fault, Handler
from provisioner.convergence.converge import converge
from provisioner.convergence.next_try import Patience
from provisioner.objects.items import Item
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.spool.submit import drop
from provisioner.wiring import System, build
from tests.bench.into_slurm import Slurm, singly

ROUTES = """\
user.provision:
  - name: account
    handler: ad
    with:
      name: "{{ user.name }}"
      surname: "{{ user.surname }}"
      uid: "{{ user.uid }}"
      gid: "{{ user.gid }}"
  - name: lds
    handler: lds
    with:
      name: "{{ user.name }}"
      sid: "{{ steps.account.output.sid }}"
      uid: "{{ steps.account.output.uid }}"
      gid: "{{ steps.account.output.gid }}"
  - name: home
    handler: homes
    with:
      name: "{{ user.name }}"
      uid: "{{ steps.account.output.uid }}"
      gid: "{{ steps.account.output.gid }}"
  - {name: resolves, handler: names, needs: [account], with: {user: "{{ user.name }}"}}
  - name: association
    handler: slurm-lab
    needs: [resolves]
    with: {account: bench, user: "{{ user.name }}"}
"""


FIGURES = ("user", "account", "everywhere")


def system_in(lab: Path, root: Path) -> tuple[System, Spool]:
    """Build a service of its own on the lab's backends."""
    config = yaml.safe_load((lab / "provisioner.yaml").read_text())
    config |= {
        "service": "bench",
        "spool": str(root / "spool"),
        "journal": str(root / "journal.db"),
        "routes": yaml.safe_load(ROUTES),
        "lanes": {"nss": {"first": 0.05}},
    }
    path = root / "provisioner.yaml"
    path.write_text(yaml.safe_dump(config))
    Spool.create(root / "spool").close()
    return build(configuration.load(path)), Spool.open(root / "spool")


def make(handler: Handler, params: Mapping[str, object]) -> Mapping[str, Any]:
    """Make what parameters want with a handler's own calls; return its outputs."""
    wants = handler.claims(params)
    items = [Item(key, (Claim("bench", want),)) for key, want in wants.items()]
    outcome = converge(handler, items, lambda _: None)[0]
    if outcome.fault is not None:
        raise outcome.fault
    assert outcome.state is not None
    return handler.outputs(outcome.state)


def slurm_of(lab: Path) -> Slurm:
    """Return the lab's Slurm as it is inside, where the programs are in their usual places."""
    known = json.loads((lab / "lab.json").read_text())["slurm"]
    return Slurm(known["conf"], "", known["cluster"])


def straight(lab: Path, system: System, name: str, uid: int) -> float:
    """Make a user by a straight script: one call after the other, and their read-back. For Slurm
    each is a process of its own."""
    began = time.perf_counter()
    handlers = system.handlers
    who = {"name": name, "surname": name, "uid": uid, "gid": 10000}
    account = make(handlers["ad"], who)
    ids = {"uid": account["uid"], "gid": account["gid"]}
    make(handlers["lds"], {"name": name, "sid": account["sid"], **ids})
    make(handlers["homes"], {"name": name, **ids})
    while True:
        try:
            make(handlers["names"], {"user": name})
            break
        except Fault:
            time.sleep(0.05)
    slurm_of(lab).by_calls("bench", name)
    return time.perf_counter() - began


def served(service: Service, spool: Spool, name: str, uid: int) -> float:
    """Make a user by a request; return seconds from the drop to the file in done/."""
    request = (
        f"provisioner: 1\naction: user.provision\n"
        f"user: {{name: {name}, surname: {name}, uid: {uid}, gid: 10000}}\n"
    )
    began = time.perf_counter()
    drop(spool.staging, f"{name}.yaml", request.encode())
    while time.perf_counter() - began < 60:
        if list((spool.root / "done").glob(f"*-{name}.yaml")):
            return time.perf_counter() - began
        if list((spool.root / "failed").glob(f"*-{name}.yaml.result.yaml")):
            raise SystemExit(next((spool.root / "failed").glob("*.result.yaml")).read_text())
        time.sleep(0.002)
    raise SystemExit(f"{name} was not done within 60 s")


def one_user(lab: Path, pairs: int) -> None:
    """Print how much longer a request takes than a straight script."""
    with tempfile.TemporaryDirectory(prefix="provisioner-bench-") as where:
        system, spool = system_in(lab, Path(where))
        make(system.handlers["slurm-lab"], {"account": "bench", "description": "bench"})
        service = Service(system, spool)
        thread = threading.Thread(target=service.run)
        thread.start()
        time.sleep(0.5)
        ratios, ours, theirs = [], [], []
        stem = "b" + uuid.uuid4().hex[:6]
        # Of the directory's own range; what earlier runs took is most likely elsewhere.
        first = random.randrange(30000, 49000)
        try:
            for n in range(pairs + 1):
                script = straight(lab, system, f"{stem}s{n}", first + 2 * n)
                request = served(service, spool, f"{stem}r{n}", first + 2 * n + 1)
                if n:
                    # The first pair warms connections and caches up.
                    ratios.append(request / script)
                    ours.append(request)
                    theirs.append(script)
        finally:
            service.stop()
            thread.join()
    print(
        f"one new user, all backends:   {statistics.median(ours):.2f} s by request, "
        f"{statistics.median(theirs):.2f} s by straight script, ratio "
        f"{statistics.median(ratios):.2f}   (aim 0.6 on Slurm 22.05, 0.8 on later)"
    )


def by_list_calls(slurm: Slurm, number: int) -> float:
    """Return users a second into an account of their own by list calls alone. They are removed
    afterwards: slurmctld looks up all again, at each write, who resolve nowhere."""
    account = slurm.account()
    users = [f"{account}l{n}" for n in range(number)]
    where = [f"account={account}", f"cluster={slurm.cluster}"]
    began = time.perf_counter()
    for start in range(0, number, CHUNK):
        slurm.sacctmgr("add", "user", ",".join(users[start : start + CHUNK]), *where)
    seconds = time.perf_counter() - began
    slurm.forget(account)
    return number / seconds


def thousand(lab: Path, number: int, singles: int) -> None:
    """Print users a second into one Slurm account, beside one call a user."""
    slurm = json.loads((lab / "lab.json").read_text())["slurm"]
    stem = "m" + uuid.uuid4().hex[:6]
    with tempfile.TemporaryDirectory(prefix="provisioner-bench-") as where:
        root = Path(where)
        config = {
            "service": "bench",
            "spool": str(root / "spool"),
            "journal": str(root / "journal.db"),
            # The users resolve nowhere: what slurmctld holds of them is not asked.
            "handlers": {
                "slurm": {
                    "use": "slurm",
                    "cluster": slurm["cluster"],
                    "slurm_conf": slurm["conf"],
                    "scontrol": [],
                }
            },
            "resources": {"lab": {"handlers": ["slurm"]}},
        }
        (root / "provisioner.yaml").write_text(yaml.safe_dump(config))
        Spool.create(root / "spool").close()
        system, spool = (
            build(configuration.load(root / "provisioner.yaml")),
            Spool.open(root / "spool"),
        )
        make(system.handlers["slurm"], {"account": stem, "description": "bench"})
        began = time.perf_counter()
        singly(slurm_of(lab), stem, [f"{stem}s{n}" for n in range(singles)])
        single = singles / (time.perf_counter() - began)
        by_list = by_list_calls(slurm_of(lab), number)
        for n in range(number):
            path = spool.staging / f"r{n}.yaml"
            path.write_text(
                f"provisioner: 1\naction: membership.add\nmembership:\n  user: {stem}u{n}\n"
                f"  allocation: {{id: 1, resource: lab, project: {{code: {stem}}}}}\n"
            )
            path.chmod(0o600)
        service = Service(system, spool)
        began = time.perf_counter()
        service.drain(120)
        rate = number / (time.perf_counter() - began)
        present = sum(user.startswith(f"{stem}u") for user in slurm_of(lab).users(stem))
        done = len(list((root / "spool/done").glob("*-r*.yaml")))
        slurm_of(lab).forget(stem)
    print(
        f"{number} users into Slurm:       {rate:.0f} users/s by request, {by_list:.0f} by list "
        f"calls, ratio {rate / by_list:.2f}   (aim 0.9); {single:.2f} by one call a user; "
        f"{present} present, {done} files in done/"
    )
    if present != number:
        raise SystemExit("not all were read back")


def alone(handler: Handler, everyone: Sequence[Mapping[str, object]]) -> tuple[float, list[Any]]:
    """Make what all want of one backend, in batches as a lane takes them.

    Return the seconds that it took, and the outputs of each.
    """
    began, outputs = time.perf_counter(), []
    wants = [dict(handler.claims(params)) for params in everyone]
    items = [Item(key, (Claim("bench", want),)) for one in wants for key, want in one.items()]
    for part in batched(items, Patience().batch):
        for outcome in converge(handler, part, lambda _: None):
            if outcome.fault is not None:
                raise outcome.fault
            assert outcome.state is not None
            outputs.append(handler.outputs(outcome.state))
    return time.perf_counter() - began, outputs


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut items into batches."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def each_alone(
    handlers: Mapping[str, Handler], names: Sequence[str], first: int
) -> dict[str, float]:
    """Make new users in each backend by itself; return the seconds of each."""
    who = [
        {"name": name, "surname": name, "uid": uid, "gid": 10000}
        for uid, name in enumerate(names, first)
    ]
    took: dict[str, float] = {}
    took["AD"], accounts = alone(handlers["ad"], who)
    known = [
        {"name": name, "uid": one["uid"], "gid": one["gid"]}
        for name, one in zip(names, accounts, strict=True)
    ]
    with_sid = [{**k, "sid": one["sid"]} for k, one in zip(known, accounts, strict=True)]
    took["AD LDS"], _ = alone(handlers["lds"], with_sid)
    took["homes"], _ = alone(handlers["homes"], known)
    members = [{"account": "bench", "user": name} for name in names]
    took["Slurm"], _ = alone(handlers["slurm-lab"], members)
    return took


def everywhere(lab: Path, number: int) -> None:
    """Print how long many new users take through all backends, beside the slowest one alone."""
    stem = "e" + uuid.uuid4().hex[:6]
    first = random.randrange(30000, 49000 - 2 * number)
    with tempfile.TemporaryDirectory(prefix="provisioner-bench-") as where:
        system, spool = system_in(lab, Path(where))
        make(system.handlers["slurm-lab"], {"account": "bench", "description": "bench"})
        took = each_alone(system.handlers, [f"{stem}a{n}" for n in range(number)], first)
        for n in range(number):
            path = spool.staging / f"{stem}r{n}.yaml"
            who = f"{{name: {stem}r{n}, surname: s, uid: {first + number + n}, gid: 10000}}"
            path.write_text(f"provisioner: 1\naction: user.provision\nuser: {who}\n")
            path.chmod(0o600)
        service = Service(system, spool)
        began = time.perf_counter()
        service.drain(120)
        whole = time.perf_counter() - began
        done = len(list((spool.root / "done").glob(f"*-{stem}r*.yaml.result.yaml")))
    slowest = max(took, key=lambda name: took[name])
    each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    print(
        f"{number} new users everywhere:    {whole:.1f} s by request; alone {each}: "
        f"{whole / took[slowest]:.2f} times {slowest}   (aim 1.2); {done} done"
    )
    if done != number:
        raise SystemExit("not all were done")


def main() -> None:
    """Print the figures beside their aims."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lab", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=10)
    parser.add_argument("--only", choices=FIGURES, action="append")
    options = parser.parse_args()
    if shutil.which("sacctmgr") is None:
        sys.exit("sacctmgr is not there: deploy/lab/install")
    wanted = options.only or FIGURES
    if "user" in wanted:
        one_user(options.lab, options.pairs)
    if "account" in wanted:
        thousand(options.lab, options.users, options.singles)
    if "everywhere" in wanted:
        everywhere(options.lab, options.users)


if __name__ == "__main__":
    main()
