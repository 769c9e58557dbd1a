"""Sessions of sacctmgr, emulated and real: what they answer is what a plain call would, or nothing.

What goes wrong with a session ends it, and the look is answered by plain calls.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm import readers
from handlers.slurm.handler import build
from handlers.slurm.readers import Readers
from handlers.slurm.sacctmgr import Sacctmgr
from provisioner.contract import Fault
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
    """A handler, an account of one name with a user, and which plain calls were made."""

    def __init__(self, cluster: Cluster, name: str, **settings: object) -> None:
        super().__init__(cluster, **settings)
        self.name = name
        assert self.slurmdbd.readers is not None
        self.readers: Readers = self.slurmdbd.readers
        self.key = f"slurm-a/assoc/{name}/{name}"
        self.account = f"slurm-a/account/{name}"
        ledger = Ledger()
        ledger.want(self.handler, "allocation:1", account(name))
        assert faults(ledger.run(self.handler)) == {}
        ledger.want(self.handler, "allocation:1", {"account": name, "user": name})
        assert faults(ledger.run(self.handler)) == {}
        self.calls.clear()

    def begin(self) -> None:
        """Wait until sessions answer a whole look."""
        until = time.monotonic() + 20
        while True:
            self.calls.clear()
            self.look()
            if not self.asked():
                break
            assert time.monotonic() < until, "no session answers"
            time.sleep(0.01)
        assert len(self.pids()) == 5
        self.calls.clear()

    def look(self) -> dict[str, Any]:
        """Look at the user and the account; return what there is of both."""
        found = self.handler.observe([self.key, self.account])
        assert not any(isinstance(one, Fault) for one in found.values()), found
        return dict(found)

    def plain(self) -> dict[str, Any]:
        """Return what a handler without sessions sees."""
        other = build(slurm_sites.site(), {**self.cluster.settings, "sacctmgr_idle": 0})
        return dict(other.observe([self.key, self.account]))

    def pids(self) -> list[int]:
        return [one.session._process.pid for one in self.readers._readers]

    def asked(self) -> list[str]:
        """Return what plain calls asked slurmdbd for."""
        return sorted(argv[3] for argv in self.calls if argv[2] == "show" and len(argv) > 3)


LISTS = ["account", "assoc", "user"]


@pytest.fixture
def centre(cluster: Cluster, name: str) -> Iterator[Centre]:
    made = Centre(cluster, name)
    made.begin()
    yield made
    made.readers.close()


def test_a_session_answers_what_a_plain_call_does_and_no_plain_call_is_made(centre: Centre) -> None:
    seen = centre.look()
    assert seen == centre.plain()
    assert seen[centre.key]["present"]
    assert seen[centre.account]["description"]
    assert centre.asked() == []


def test_a_session_sees_what_others_wrote_since_its_last_answer(centre: Centre) -> None:
    where = ["where", f"name={centre.name}", f"cluster={centre.cluster.settings['cluster']}"]
    centre.look()
    for words in (
        ["modify", "account", *where, "set", "GrpJobs=7", "description=others"],
        ["modify", "user", *where, "set", "MaxJobs=3"],
        ["delete", "user", *where],
        ["add", "user", centre.name, where[2], f"account={centre.name}", "GrpTRES=cpu=5"],
    ):
        centre.cluster.admin(words)
        assert centre.look() == centre.plain()
    assert centre.look()[centre.key]["limits"] == {"GrpTRES/cpu": 5}
    assert centre.asked() == []


def test_a_qos_that_is_younger_than_the_session_is_seen_by_plain_calls(centre: Centre) -> None:
    """sacctmgr prints no name that it did not know when it began."""
    where = ["where", f"name={centre.name}", f"cluster={centre.cluster.settings['cluster']}"]
    qos = f"{centre.name}q"
    centre.cluster.admin(["add", "qos", qos])
    centre.cluster.admin(["modify", "account", *where, "set", f"QOS+={qos}"])
    seen = centre.look()
    assert seen == centre.plain()
    assert seen[centre.account]["limits"] == {"QOS+": qos}
    assert centre.asked() == LISTS


def test_many_names_are_one_line_of_a_session(centre: Centre) -> None:
    """readline scrolls a line that is longer than its terminal is wide."""
    users = [f"{centre.name}{'x' * 15}{number}" for number in range(150)]
    keys = [f"slurm-a/assoc/{centre.name}/{user}" for user in users]
    found = centre.handler.observe([centre.key, *keys])
    assert [key for key, one in found.items() if one["present"]] == [centre.key]  # type: ignore[index]
    assert centre.asked() == []


def test_a_session_that_was_killed_between_two_looks_is_not_missed(centre: Centre) -> None:
    for pid in centre.pids():
        os.kill(pid, signal.SIGKILL)
    assert centre.look() == centre.plain()
    assert centre.asked() == LISTS


def test_a_session_that_does_not_answer_in_time_is_ended_and_plain_calls_answer(
    centre: Centre,
) -> None:
    centre.readers.most = 0.2
    pids = centre.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert centre.look() == centre.plain()
    assert centre.asked() == LISTS
    assert [pid for pid in pids if alive(pid)] == []


def test_a_look_waits_for_another_threads(centre: Centre) -> None:
    """It is answered by sessions then: plain calls take longer than the other's look."""
    centre.readers._lock.acquire()
    over = threading.Timer(0.05, centre.readers._lock.release)
    over.start()
    centre.look()
    over.join()
    assert centre.asked() == []


def test_a_look_does_not_wait_long_for_another_threads(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "TURN", 0.0)
    with centre.readers._lock:
        assert centre.look() == centre.plain()
    assert centre.asked() == LISTS


def test_sessions_end_when_nobody_asks(centre: Centre) -> None:
    pids = centre.pids()
    centre.readers.idle = 0.0
    centre.readers._look_at_the_time()
    assert [pid for pid in pids if alive(pid)] == []
    assert centre.look() == centre.plain()


def test_a_session_that_is_not_needed_ends_although_others_are_asked(centre: Centre) -> None:
    *needed, spare = centre.readers._readers
    spare.used -= IDLE
    pids = centre.pids()
    centre.readers._look_at_the_time()
    assert [pid for pid in pids if not alive(pid)] == [spare.session._process.pid]
    assert centre.readers._readers == needed


def test_a_session_ends_with_the_process_that_asks_it(cluster: Cluster) -> None:
    """Killed, it can end nobody: the pipe does."""
    settings = cluster.settings
    program = (
        "import json, os, signal, sys\n"
        "from handlers.slurm.session import Session\n"
        "words, environment = json.loads(sys.argv[1])\n"
        "session = Session(words, environment)\n"
        "session.say('show cluster format=Cluster')\n"
        "assert session.answered(20.0)\n"
        "print(session._process.pid, *session.heard(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    conf = settings.get("slurm_conf")
    given = json.dumps([settings["sacctmgr"], {"SLURM_CONF": conf} if conf else {}])
    done = subprocess.run(
        [sys.executable, "-c", program, given], capture_output=True, text=True, check=False
    )
    pid, *clusters = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    assert settings["cluster"] in clusters
    until = time.monotonic() + 20
    while alive(int(pid)):
        assert time.monotonic() < until, "it outlived its service"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Return True if a process runs."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


BETWEEN = """\
#!{python} -IS
# Between the service and sacctmgr: what a session does wrong, as `fault` says.
import os, sys
real, fault = {real!r}, {fault!r}
if "-nP" in sys.argv or "-i" in sys.argv:
    os.execv(real, [real, *sys.argv[1:]])
from subprocess import PIPE, Popen
child = Popen([real, *sys.argv[1:]], stdin=PIPE, stdout=PIPE, bufsize=0)
former = b""
def answer():
    text = b""
    while not text.endswith(b"sacctmgr: "):
        part = os.read(child.stdout.fileno(), 65536)
        if not part:
            return text
        text += part
    return text
os.write(1, answer())
for line in sys.stdin.buffer:
    child.stdin.write(line)
    text = answer()
    question = line.startswith(b"show") and b" where account=root user=root" not in line
    if os.path.exists({armed!r}) and question:
        rows = text[len(line):-len(b"sacctmgr: ")]
        if fault == "ends in the middle":
            os.write(1, text[:len(line) + len(rows) // 2])
            os._exit(0)
        if fault == "loses the rest of a line":
            text = line + rows[:-2] + b"sacctmgr: "
        if fault == "answers the former question":
            text = former
        if fault == "answers another question":
            text = line.replace(b"cf1", b"cf2") + rows + b"sacctmgr: "
        if fault == "says an error":
            os.write(2, b"sacctmgr: error: slurmdbd: Connection refused\\n")
        if fault == "asks something":
            text = line + rows + b"Would you like to commit changes? (y/N): sacctmgr: "
        if fault == "answers twice":
            text = text + text
    former = text
    os.write(1, text)
"""

FAULTS = (
    "ends in the middle",
    "loses the rest of a line",
    "answers the former question",
    "answers another question",
    "says an error",
    "asks something",
    "answers twice",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_session_in_doubt_is_ended_and_plain_calls_answer(tmp_path: Path, fault: str) -> None:
    made = slurm_sites.emulated(tmp_path)
    real = str(tmp_path / "bin/sacctmgr")
    armed, program = tmp_path / "armed", tmp_path / "sacctmgr"
    values = {"python": sys.executable, "real": real, "fault": fault, "armed": str(armed)}
    program.write_text(BETWEEN.format(**values))
    program.chmod(0o755)
    settings = {**made.settings, "sacctmgr_idle": IDLE, "sacctmgr": [str(program)]}
    centre = Centre(replace(made, settings=settings), "cf1")
    centre.begin()
    assert centre.look() == centre.plain()
    assert centre.asked() == []
    pids = centre.pids()
    armed.touch()
    assert centre.look() == centre.plain()
    assert centre.asked() == LISTS
    assert [pid for pid in pids if alive(pid)] == []
    # Not at once again: what is in doubt may stay so.
    assert centre.look() == centre.plain()
    assert centre.pids() == []


def test_after_a_doubt_sessions_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "REST", 0.0)
    made = slurm_sites.emulated(tmp_path)
    centre = Centre(replace(made, settings={**made.settings, "sacctmgr_idle": IDLE}), "cf1")
    centre.begin()
    for pid in centre.pids():
        os.kill(pid, signal.SIGKILL)
    centre.look()
    centre.begin()
    assert centre.look() == centre.plain()
    assert centre.asked() == []
    centre.readers.close()


def test_where_the_host_has_no_thread_left_plain_calls_answer_and_sessions_begin_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    made = slurm_sites.emulated(tmp_path)
    centre = Centre(replace(made, settings={**made.settings, "sacctmgr_idle": IDLE}), "cf1")
    monkeypatch.setattr(readers, "REST", 0.0)
    with monkeypatch.context() as host:
        host.setattr(threading.Timer, "start", none_left)
        assert centre.look() == centre.plain()
    centre.begin()
    assert centre.look() == centre.plain()
    centre.readers.close()


def test_a_request_goes_through_while_sessions_are_killed_at_each_look(tmp_path: Path) -> None:
    """A session that is killed in the middle of a request costs it nothing but time."""
    made = slurm_sites.emulated(tmp_path)
    centre = Centre(replace(made, settings={**made.settings, "sacctmgr_idle": IDLE}), "cf1")
    centre.begin()
    ledger = Ledger()
    ledger.want(centre.handler, "allocation:1", account("cf1", specs="GrpJobs=10"))
    for pid in centre.pids()[::2]:
        os.kill(pid, signal.SIGKILL)
    assert faults(ledger.run(centre.handler)) == {}
    assert centre.plain()[centre.account]["limits"] == {"GrpJobs": 10}


def test_an_agent_is_asked_by_plain_calls_alone(tmp_path: Path) -> None:
    made = slurm_sites.emulated(tmp_path)
    settings = {**made.settings, "sacctmgr_idle": IDLE, "sacctmgr": ["agent:slurm", "sacctmgr"]}
    slurmdbd = build(slurm_sites.site(), settings)._tools.slurmdbd
    assert isinstance(slurmdbd, Sacctmgr)
    assert slurmdbd.readers is None


def test_a_line_that_readline_would_change_is_no_question_for_a_session() -> None:
    some = Readers(["/nowhere/sacctmgr"], {}, IDLE, 1.0)
    # One that could be asked would end in a doubt, as there is no program.
    assert some.ask(["show assoc where account=a\tb"]) is None
    assert some.ask(["show assoc\nshow user"]) is None
    assert some.ask(["show assoc where account=" + "x" * 40_000]) is None
    assert some._not_before == 0.0
    assert some.ask(["show assoc where account=a"]) is None
    assert some._not_before > 0.0
