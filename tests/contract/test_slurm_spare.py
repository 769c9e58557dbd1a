"""A sacctmgr that waits for its command, emulated and real: it does what a plain call does, once,
and whatever goes wrong with it is a plain call's turn; and a look before a user is added."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import build
from handlers.slurm.sacctmgr import Sacctmgr
from handlers.slurm.spare import Spare
from provisioner.contract import Fault, Transient, Unknown
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, faults
from tests.support.slurm_sites import Cluster
from tests.support.slurm_watched import IDLE, Watched, kept_running


@pytest.fixture(params=slurm_sites.BY_SACCTMGR)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    """Give a cluster whose sacctmgr is kept running."""
    return kept_running(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    yield from slurm_sites.own_name(cluster)


class Centre(Watched):
    """A handler, an account that is there and a user who is asked for, and which plain calls were
    made."""

    def __init__(self, cluster: Cluster, name: str, **settings: object) -> None:
        super().__init__(cluster, **settings)
        self.name = name
        self.key = f"slurm-a/assoc/{name}/{name}"
        self.ledger = Ledger()
        self.ledger.want(self.handler, "allocation:1", account(name))
        assert faults(self.ledger.run(self.handler)) == {}
        self.ledger.claims.clear()
        self.ask(name)
        self.calls.clear()

    @property
    def spare(self) -> Spare:
        assert self.slurmdbd.spare is not None
        return self.slurmdbd.spare

    def ask(self, user: str, **more: object) -> None:
        """Ask for a user in the account."""
        self.ledger.want(self.handler, "allocation:1", {"account": self.name, "user": user, **more})

    def prepare(self) -> None:
        """Get ready for the user, and wait until that is done."""
        self.handler.prepare([self.key])
        if self.slurmdbd.spare is not None:
            until(lambda: self.spare._waiting is not None)
        until(lambda: self.slurmdbd.lately._asked is not None)

    def pid(self) -> int:
        assert self.spare._waiting is not None
        return self.spare._waiting.process.pid

    def added(self) -> list[str]:
        """Return whom plain calls added."""
        return [argv[4] for argv in self.calls if argv[1:4] == ["-i", "add", "user"]]

    def there(self, user: str) -> dict[str, Any]:
        """Return what a handler that prepares nothing sees of a user."""
        other = build(slurm_sites.site(), {**self.cluster.settings, "sacctmgr_idle": 0})
        key = f"slurm-a/assoc/{self.name}/{user}"
        state = other.observe([key])[key]
        assert not isinstance(state, Fault)
        return dict(state)

    def close(self) -> None:
        self.spare.close()
        assert self.slurmdbd.readers is not None
        self.slurmdbd.readers.close()


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Return True if a process runs."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


@pytest.fixture
def centre(cluster: Cluster, name: str) -> Iterator[Centre]:
    made = Centre(cluster, name)
    made.prepare()
    yield made
    made.close()


# Writing.


def test_it_adds_the_user_and_no_plain_call_does(centre: Centre) -> None:
    centre.ask(centre.name, fairshare=7)
    pid = centre.pid()
    assert faults(centre.ledger.run(centre.handler)) == {}
    assert centre.there(centre.name)["limits"] == {"Fairshare": 7}
    assert centre.added() == []
    assert not alive(pid)


def test_each_is_used_once(centre: Centre) -> None:
    assert faults(centre.ledger.run(centre.handler)) == {}
    centre.ask(f"{centre.name}b")
    assert faults(centre.ledger.run(centre.handler)) == {}
    assert centre.there(f"{centre.name}b")["present"]
    assert centre.added() == [f"{centre.name}b"]


def test_it_says_and_ends_as_a_plain_call_does(centre: Centre) -> None:
    words = ["add", "user", centre.name, f"cluster={centre.cluster.settings['cluster']}"]
    there, nowhere = f"account={centre.name}", "account=nonesuch"
    conf = centre.cluster.settings.get("slurm_conf")
    env = {"SLURM_CONF": str(conf)} if conf else {}
    for more, code in (([there], 0), ([there], 1), ([nowhere], 1), ([there, "qos=none"], 1)):
        centre.spare.prepare()
        by_spare = centre.spare.run([*words, *more], 60.0)
        assert by_spare is not None
        assert by_spare.returncode == code, by_spare
        if code:
            plain = process.run([*centre.spare.words, "-i", *words, *more], env=env)
            assert plain.returncode == code
            assert plain.stdout.strip() in by_spare.stdout
            assert by_spare.stderr == plain.stderr


def test_who_is_there_already_is_no_fault(centre: Centre) -> None:
    where = f"cluster={centre.cluster.settings['cluster']}"
    centre.cluster.admin(["add", "user", centre.name, where, f"account={centre.name}"])
    assert faults(centre.ledger.run(centre.handler)) == {}


def test_one_that_was_killed_while_it_waited_is_a_plain_calls_turn(centre: Centre) -> None:
    os.kill(centre.pid(), signal.SIGKILL)
    assert faults(centre.ledger.run(centre.handler)) == {}
    assert centre.there(centre.name)["present"]
    assert centre.added() == [centre.name]


def test_one_that_waits_is_started_again_if_it_died(centre: Centre) -> None:
    died = centre.pid()
    os.kill(died, signal.SIGKILL)
    until(lambda: not alive(died))
    centre.spare.prepare()
    assert alive(centre.pid())


BETWEEN = """\
#!{python} -IS
# Between the service and sacctmgr: what one that waits does wrong, as `fault` says.
import os, subprocess, sys
real, fault = {real!r}, {fault!r}
if sys.argv[1:] != ["-i"]:
    os.execv(real, [real, *sys.argv[1:]])
line = sys.stdin.readline()
if fault == "says nothing and wrote nothing":
    sys.exit(0)
if fault == "says an error and wrote nothing":
    sys.stderr.write("sacctmgr: error: Problem talking to the database\\n")
    sys.exit(1)
done = subprocess.run([real, "-i"], input=line.encode())
if fault == "dies after it wrote":
    os.kill(os.getpid(), 9)
sys.exit(1 if fault == "says an error after it wrote" else done.returncode)
"""

FAULTS = (
    "says nothing and wrote nothing",
    "says an error and wrote nothing",
    "dies after it wrote",
    "says an error after it wrote",
)


def between(tmp_path: Path, fault: str) -> Cluster:
    """Make a cluster whose sacctmgr does something wrong if it waits for its command."""
    made = slurm_sites.emulated(tmp_path)
    program, real = tmp_path / "sacctmgr", str(tmp_path / "bin/sacctmgr")
    program.write_text(BETWEEN.format(python=sys.executable, real=real, fault=fault))
    program.chmod(0o755)
    more = {"sacctmgr_idle": IDLE, "sacctmgr": [str(program)]}
    return replace(made, settings={**made.settings, **more})


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_it_does_wrong_the_user_is_there_by_a_plain_call(
    tmp_path: Path, fault: str
) -> None:
    centre = Centre(between(tmp_path, fault), "cf1")
    centre.prepare()
    assert faults(centre.ledger.run(centre.handler)) == {}
    assert centre.there("cf1")["present"]
    assert centre.added() == ["cf1"]
    centre.close()


def test_one_that_gives_no_answer_is_ended_and_what_it_wrote_is_unknown(tmp_path: Path) -> None:
    made = slurm_sites.emulated(tmp_path)
    centre = Centre(replace(made, settings={**made.settings, "sacctmgr_idle": IDLE}), "cf1")
    centre.prepare()
    pid = centre.pid()
    os.kill(pid, signal.SIGSTOP)
    programs = replace(centre.slurmdbd.programs, timeout=0.2)
    stuck = replace(centre.slurmdbd, programs=programs)
    with pytest.raises(Unknown, match=r"add user cf1 .* gave no answer within 0.2 s"):
        stuck.add_users("cf1", ["cf1"], [])
    assert not alive(pid)
    assert centre.added() == []
    centre.close()


def test_a_command_that_a_line_could_change_is_none_for_it() -> None:
    spare = Spare(["/nowhere/sacctmgr"], {}, IDLE)
    spare._waiting = object()  # type: ignore[assignment]
    for words in (["add", "a b"], ["add", "a'b"], ["add", 'a"b'], ["add", "a\nb"], ["add", ""]):
        assert spare.run(words, 1.0) is None
    assert spare.run(["add", "x" * 5000], 1.0) is None
    assert spare._waiting is not None


def test_one_that_nobody_needs_ends(tmp_path: Path) -> None:
    made = slurm_sites.emulated(tmp_path)
    spare = Spare([*made.sacctmgr().words, "-i"], {}, 0.0)
    spare.prepare()
    until(lambda: spare._waiting is None)
    assert spare.run(["add", "user"], 1.0) is None


def test_a_host_without_a_thread_left_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    made = slurm_sites.emulated(tmp_path)
    centre = Centre(replace(made, settings={**made.settings, "sacctmgr_idle": IDLE}), "cf1")
    with monkeypatch.context() as host:
        host.setattr(threading.Thread, "start", none_left)
        centre.handler.prepare([centre.key])
        with pytest.raises(RuntimeError):
            centre.spare.prepare()
    assert centre.spare._waiting is None
    assert faults(centre.ledger.run(centre.handler)) == {}
    centre.close()


def test_it_ends_with_the_process_that_started_it(cluster: Cluster) -> None:
    """Killed, it can end nobody: the pipe does."""
    program = (
        "import json, os, signal, sys\n"
        "from handlers.slurm.spare import Spare\n"
        "words, environment = json.loads(sys.argv[1])\n"
        "spare = Spare(words, environment, 60.0)\n"
        "spare.prepare()\n"
        "print(spare._waiting.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    conf = cluster.settings.get("slurm_conf")
    given = json.dumps([cluster.settings["sacctmgr"], {"SLURM_CONF": conf} if conf else {}])
    done = subprocess.run(
        [sys.executable, "-c", program, given], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    until(lambda: not alive(int(done.stdout)))


def test_an_agent_and_a_service_that_keeps_none_have_none(tmp_path: Path) -> None:
    made = slurm_sites.emulated(tmp_path)
    for settings in ({"sacctmgr_idle": 0}, {"sacctmgr": ["agent:slurm", "sacctmgr"]}):
        slurmdbd = build(slurm_sites.site(), {**made.settings, **settings})._tools.slurmdbd
        assert isinstance(slurmdbd, Sacctmgr)
        assert slurmdbd.spare is None


# Looking.


@pytest.fixture
def plain(tmp_path: Path) -> Centre:
    """A centre whose questions are all plain calls."""
    return Centre(slurm_sites.emulated(tmp_path), "cf1")


def asked(centre: Centre) -> list[str]:
    """Return what plain calls asked slurmdbd for."""
    return sorted(argv[3] for argv in centre.calls if argv[2] == "show")


def test_what_was_looked_for_beforehand_is_not_looked_for_again(plain: Centre) -> None:
    plain.prepare()
    assert asked(plain) == ["assoc", "user"]
    assert plain.handler.observe([plain.key])[plain.key]["present"] is False  # type: ignore[index]
    assert asked(plain) == ["assoc", "user"]
    assert plain.handler.observe([plain.key])[plain.key]["present"] is False  # type: ignore[index]
    assert asked(plain) == ["assoc", "assoc", "user", "user"]


def test_who_was_there_beforehand_is_looked_at_anew(plain: Centre) -> None:
    add = ["add", "user", "cf1", "cluster=a", "account=cf1", "MaxJobs=3"]
    plain.cluster.admin(add)
    plain.prepare()
    plain.cluster.admin(["modify", "user", "where", "name=cf1", "cluster=a", "set", "MaxJobs=4"])
    assert plain.handler.observe([plain.key])[plain.key]["limits"] == {"MaxJobs": 4}  # type: ignore[index]


def test_whom_others_added_since_is_seen_by_the_next_try(plain: Centre) -> None:
    plain.ask("cf1", specs="MaxJobs=9")
    plain.prepare()
    plain.cluster.admin(["add", "user", "cf1", "cluster=a", "account=cf1", "MaxJobs=3"])
    [outcome] = plain.ledger.run(plain.handler).values()
    assert isinstance(outcome.fault, Transient)
    assert plain.there("cf1")["limits"] == {"MaxJobs": 3}
    assert faults(plain.ledger.run(plain.handler)) == {}
    assert plain.there("cf1")["limits"] == {"MaxJobs": 9}


def test_both_daemons_are_asked_at_once_about_who_was_just_added(plain: Centre) -> None:
    """slurmdbd's answer waits here for the question to slurmctld."""
    held, wrote, waited = threading.Event(), threading.Event(), []

    def before(argv: Sequence[str]) -> None:
        if argv[1:3] == ["-i", "add"]:
            wrote.set()
        elif "assoc_mgr" in argv:
            held.set()
        elif wrote.is_set() and argv[3:4] == ["assoc"]:
            waited.append(held.wait(5.0))

    plain.before = before
    assert faults(plain.ledger.run(plain.handler)) == {}
    assert waited == [True]


def test_of_some_who_were_added_only_those_who_are_there_are_asked_for(plain: Centre) -> None:
    plain.handler._made = frozenset({"cf1", "nobody"})
    plain.cluster.admin(["add", "user", "cf1", "cluster=a", "account=cf1"])
    gone = "slurm-a/assoc/cf1/nobody"
    seen = plain.handler.observe([plain.key, gone])
    assert [seen[key]["present"] for key in (plain.key, gone)] == [True, False]  # type: ignore[index]
    last = [argv for argv in plain.calls if "assoc_mgr" in argv][-1]
    assert "users=cf1" in last
