"""Filesets by the GUI alone: jobs that go wrong, nodes that are away, users who may not."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from handlers.emulators.gpfs.gui import VERSION
from handlers.gpfs.settings import Settings
from provisioner.contract import (
    ConfigError,
    Fault,
    InvalidRequest,
    Level,
    NotReady,
    Permanent,
    Unavailable,
    Unknown,
    read_settings,
)
from tests.support.gpfs_full import FULL
from tests.support.gpfs_gui import SECRETS, RestFileSystem, certificate
from tests.support.gpfs_site import FileSystem, Ledger


@pytest.fixture
def fs(tmp_path: Path) -> RestFileSystem:
    return RestFileSystem(tmp_path / "gpfs")


@pytest.fixture
def ledger(fs: RestFileSystem) -> Ledger:
    return Ledger(fs.handler())


def fault_of(ledger: Ledger) -> Fault | None:
    (outcome,) = ledger.run().values()
    return outcome.fault


def test_a_batch_is_read_by_one_question_for_all(fs: RestFileSystem, ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        ledger.provision(fileset=name, quota="1GiB")
    ledger.converged()
    fs.calls.clear()
    fs.gui.asked.clear()
    ledger.handler.observe(list(ledger.claims))
    of_one = [asked for asked in fs.gui.asked if "/acl/" not in asked]
    assert of_one == [
        "GET filesystems/fs1", "POST refreshTask/enqueue", "GET filesystems/fs1/filesets",
        "GET filesystems/fs1/quotas",
    ]  # fmt: skip
    assert sorted(call[0] for call in fs.calls) == ["mmgetacl"] * 3 + ["stat"]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"cuts": True}, "no answer"),
        ({"forgets": True}, "does not know it any more"),
        ({"stuck": True}, "no end in 1 s: it is still running: EFSSA0194I"),
    ],
    ids=["connection cut", "GUI restarted", "no end"],
)
def test_a_write_whose_end_is_not_known_is_read_back_and_not_repeated(
    fs: RestFileSystem, trouble: dict[str, object], words: str
) -> None:
    ledger = Ledger(fs.handler(timeout=1, poll=0.1))
    ledger.provision(**FULL)
    fs.faults(gui=trouble)
    fault = fault_of(ledger)
    assert isinstance(fault, Unknown)
    assert words in fault.message
    fs.faults()
    assert ledger.converged()["linked"] is True
    assert fs.written().count("mmcrfileset") == 1


def test_the_gui_makes_and_links_at_once_so_the_way_is_checked_before(
    fs: RestFileSystem, ledger: Ledger
) -> None:
    key = ledger.provision(fileset="cf3", path="projects/cf3")
    assert isinstance(ledger.run()[key].fault, NotReady)
    assert fs.written() == []
    (fs.mount / "projects").mkdir()
    assert ledger.converged()["path"] == f"{fs.mount}/projects/cf3"
    assert fs.written()[:2] == ["mmcrfileset", "mmlinkfileset"]


def test_a_job_that_runs_for_long_is_waited_for(fs: RestFileSystem, ledger: Ledger) -> None:
    ledger.provision(fileset="cf3", quota="1GiB")
    fs.faults(gui={"polls": 4})
    ledger.converged()
    assert fs.waits[:5] == [2, 4, 8, 16, 16]


def test_a_job_that_fails_says_what_the_cluster_said(fs: RestFileSystem, ledger: Ledger) -> None:
    ledger.provision(fileset="cf3", quota="1GiB")
    fs.faults(gui={"refuse": {"mmsetquota": "EFSSG9999C no quota for you"}})
    fault = fault_of(ledger)
    assert isinstance(fault, Permanent)
    assert "POST" in fault.message and "EFSSG9999C no quota for you" in fault.message


@pytest.mark.parametrize("command", ["mmputacl", "chown"])
def test_a_group_that_the_nodes_do_not_know_yet_is_waited_for(
    fs: RestFileSystem, command: str
) -> None:
    ledger = Ledger(fs.handler(paths="rest", mode="0770"))
    ledger.provision(**FULL)
    words = 'EFSSP0010C CLI: The object "cf3" specified for "group" does not exist.'
    # chmod is an ACL of special entries: only what names the group may fail so.
    ledger.converged() if command == "mmputacl" else None
    fs.faults(gui={"refuse": {command: words}})
    ledger.provision("allocation:2", **{**FULL, "acl": None})
    fs.mm("mmputacl", "-i", _closed(fs), str(fs.mount / "cf3")) if command == "mmputacl" else None
    fault = fault_of(ledger)
    assert isinstance(fault, NotReady), fault
    assert "getent group" in fault.advice


def _closed(fs: FileSystem) -> str:
    file = fs.directory / "closed.acl"
    file.write_text("#NFSv4 ACL\nspecial:owner@:rwxc:allow\n")
    return str(file)


def _nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"https://127.0.0.1:{server.getsockname()[1]}"


def test_a_node_that_is_away_is_passed_over_and_named(fs: RestFileSystem) -> None:
    away = _nobody_listens()
    handler = fs.handler(gui=[away, fs.server.url])
    ledger = Ledger(handler)
    ledger.provision(**FULL)
    ledger.converged()
    findings = {finding.message: finding.level for finding in handler.check()}
    (dead,) = [
        message for message in findings if message.startswith(f"GUI node {away} cannot be used")
    ]
    assert findings[dead] is Level.ERROR
    (alive,) = [message for message in findings if VERSION in message]
    assert findings[alive] is Level.OK
    assert "no real cluster" in alive


def test_a_busy_gui_is_waited_for(fs: RestFileSystem, ledger: Ledger) -> None:
    ledger.provision(**FULL)
    fs.faults(gui={"code": 503})
    fault = fault_of(ledger)
    assert isinstance(fault, Unavailable)
    assert "busy with other requests" in fault.message


def test_a_wrong_password_stops_the_lane_and_says_which_secret(
    fs: RestFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECRETS, "gui-password", "wrong")
    ledger = Ledger(fs.handler())
    ledger.provision(**FULL)
    fault = fault_of(ledger)
    assert isinstance(fault, Unavailable)
    assert "401" in fault.message
    assert "secrets that `user` and `password` name" in fault.advice
    assert "wrong" not in fault.message + fault.advice


def test_a_gui_that_another_authority_signed_gets_no_password(
    fs: RestFileSystem, tmp_path: Path
) -> None:
    other, _ = certificate(tmp_path)
    ledger = Ledger(fs.handler(ca_file=str(other)))
    ledger.provision(**FULL)
    fault = fault_of(ledger)
    assert isinstance(fault, Unavailable)
    assert "CERTIFICATE_VERIFY_FAILED" in fault.message
    assert "`ca_file`" in fault.advice
    assert fs.gui.asked == []


# Owner and mode by REST, too.


def test_by_rest_alone_a_fileset_is_made_closed_and_opened(fs: RestFileSystem) -> None:
    ledger = Ledger(fs.handler(paths="rest", mode="0770", tools="/nonexistent"))
    key = ledger.provision(fileset="cf3", quota="1GiB", uid=2001, gid=3001)
    before = ledger.converged()
    assert (before["uid"], before["gid"], before["mode"]) == (2001, 3001, "0770")
    ledger.suspend(key)
    closed = ledger.converged()
    assert (closed["uid"], closed["gid"], closed["mode"]) == (0, 0, "0700")
    ledger.suspend(key, False)
    assert ledger.converged() == before
    assert "chmod" not in fs.written(), "the API has no endpoint for a mode"


def test_by_rest_alone_bits_that_no_acl_has_are_left_to_a_person(fs: RestFileSystem) -> None:
    ledger = Ledger(fs.handler(paths="rest", mode="0770"))
    key = ledger.provision(**FULL)
    ledger.converged()
    state = json.loads((fs.directory / "state.json").read_text(encoding="utf-8"))
    state["paths"][str(fs.mount / "cf3")]["mode"] |= 0o2000
    (fs.directory / "state.json").write_text(json.dumps(state), encoding="utf-8")
    assert "group:cf3:rwx" in fs.mm("mmgetacl", str(fs.mount / "cf3"))
    ledger.suspend(key)
    fault = fault_of(ledger)
    assert isinstance(fault, Permanent)
    assert f"chmod 00700 {fs.mount}/cf3" in fault.advice
    assert "group:cf3" not in fs.mm("mmgetacl", str(fs.mount / "cf3")), "nobody can enter"


def test_by_rest_alone_a_mode_with_set_id_bits_is_refused_beforehand(fs: RestFileSystem) -> None:
    with pytest.raises(ConfigError, match="no endpoint for set-id"):
        fs.handler(paths="rest")
    with pytest.raises(InvalidRequest, match="no endpoint for set-id"):
        fs.handler(paths="rest", mode="0770").claims({"fileset": "cf3", "mode": "2770"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"transport": "rest"}, "transport: rest needs gui, user, password"),
        ({"gui": ["https://gui1"]}, "gui: only with transport: rest"),
        ({"paths": "rest", "mode": "0770"}, "paths: rest needs transport: rest"),
        ({"transport": "rest", "gui": ["http://gui1"]}, "is not https://HOST"),
        ({"transport": "rest", "gui": ["https://gui1/x"]}, "is not https://HOST"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        read_settings(Settings, {"filesystem": "fs1", **settings})
