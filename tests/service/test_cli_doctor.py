"""`doctor` finds what is wrong, and says how to mend it; one thing that is wrong hides no other."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.journal import facts
from provisioner.journal.journal import Journal
from provisioner.recovery import clock, doubts
from tests.support.cli_site import Desk, clean


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "site")


def findings(desk: Desk, *levels: str) -> list[dict[str, Any]]:
    """Return what doctor finds, but for what is well."""
    found = desk("doctor", "--json", code=None).json
    return [one for one in found if one["level"] in (levels or ("error", "warning"))]


def mend(desk: Desk, advice: str) -> None:
    """Do what the advice says."""
    words = shlex.split(advice)
    if words[0] == "provisioner":
        desk(*words[1:])
    else:
        subprocess.run(words, check=True)


Break = Callable[[Desk], object]

SPOOL: dict[str, tuple[Break, str]] = {
    "no spool": (lambda d: d.break_off("spool"), "provisioner init"),
    "a directory of it is missing": (
        lambda d: (d.spool / "held").rmdir(),
        "provisioner init",
    ),
    "others may write to a directory": (
        lambda d: (d.spool / "active").chmod(0o777),
        "chmod go-w {spool}/active",
    ),
    "others may write to receipts": (
        lambda d: (d.spool / "receipts").chmod(0o733),
        "chmod go-w {spool}/receipts",
    ),
    "staging is not sticky": (
        lambda d: (d.spool / "staging").chmod(0o733),
        "chmod +t {spool}/staging",
    ),
    "no staging": (lambda d: (d.spool / "staging").rmdir(), "provisioner init"),
    "others may replace the spool": (lambda d: d.root.chmod(0o777), "chmod go-w {root}"),
    "no journal": (lambda d: (d.root / "journal/journal.db").unlink(), "provisioner init"),
    "no directory of the journal": (lambda d: d.break_off("journal"), "provisioner init"),
    "others may write to the journal": (
        lambda d: (d.root / "journal/journal.db").chmod(0o666),
        "chmod go-w {root}/journal/journal.db",
    ),
    "others may write to the configuration": (
        lambda d: d.config.chmod(0o664),
        "chmod go-w {root}/provisioner.yaml",
    ),
}


@pytest.mark.parametrize(("harm", "advice"), SPOOL.values(), ids=SPOOL.keys())
def test_what_is_wrong_here_is_found_and_its_advice_mends_it(
    desk: Desk, harm: Break, advice: str
) -> None:
    harm(desk)
    [told] = {error["advice"] for error in findings(desk, "error")}
    assert told == advice.format(spool=desk.spool, root=desk.root)
    mend(desk, told)
    assert findings(desk, "error") == []


STAGING: dict[str, tuple[Break, str]] = {
    "gone": (lambda d: (d.spool / "staging").rmdir(), "No such file or directory"),
    "not sticky": (lambda d: (d.spool / "staging").chmod(0o733), "not sticky"),
}


@pytest.mark.parametrize(("harm", "why"), STAGING.values(), ids=STAGING.keys())
def test_it_says_why_nothing_is_taken_from_staging_of_a_service_that_runs(
    desk: Desk, harm: Break, why: str
) -> None:
    with desk.service():
        harm(desk)
        [error] = findings(desk, "error")
    assert error["subject"] == "staging"
    assert error["message"].startswith(
        f"the service takes no requests from it: {desk.spool}/staging"
    )
    assert why in error["message"]


def secret(desk: Desk) -> Path:
    """Configure a secret; return its file."""
    with desk.config.open("a") as config:
        config.write("secrets: {ad-password: secrets/ad}\n")
    (desk.root / "secrets").mkdir()
    return desk.root / "secrets/ad"


def written(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


SECRETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (
        lambda file: None,
        "install -m 0600 /dev/null {file}, then write the secret into it",
    ),
    "open to others": (lambda file: written(file, "x\n", 0o644), "chmod 600 {file}"),
    "empty": (lambda file: written(file, "", 0o600), "write the secret into it"),
}


@pytest.mark.parametrize(("harm", "advice"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_that_cannot_serve_is_found(
    desk: Desk, harm: Callable[[Path], object], advice: str
) -> None:
    file = secret(desk)
    harm(file)
    [error] = findings(desk, "error")
    assert error["subject"] == "secret ad-password"
    assert advice.format(file=file) in error["advice"]
    written(file, "x\n", 0o600)
    assert findings(desk, "error") == []


def test_a_credential_of_the_service_manager_stands_for_a_secret_s_file(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret(desk)
    (tmp_path / "ad-password").write_text("x\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert findings(desk, "error") == []


def refuse(desk: Desk) -> None:
    """Let slurmdbd be down, as sacctmgr tells it, with a terminal's command in its words."""
    program = desk.root / "slurm/bin/sacctmgr"
    program.write_text("#!/bin/sh\nprintf 'error: \\033[31mConnection refused' >&2\nexit 1\n")


def no_server(desk: Desk) -> None:
    desk.set(f'["emulated://{desk.root}/lds.json"]', '["ldap://127.0.0.1:1"]\n    tls: none')


AWAY: dict[str, tuple[Break, str, str]] = {
    "no server of a directory": (no_server, "lds", "is it up, and can this host reach it?"),
    "no container": (
        lambda d: d.set("OU=people,DC=hpc", "OU=peeple,DC=hpc"),
        "lds",
        "create it, or fix the setting",
    ),
    "slurmdbd is down": (refuse, "slurm-a", "check that slurmdbd is up"),
    "no Slurm commands": (
        lambda d: d.break_off("slurm"),
        "slurm-a",
        "mount its file system, or set its path",
    ),
    "no such cluster": (
        lambda d: d.set("cluster: a", "cluster: z"),
        "slurm-a",
        "sacctmgr -i add cluster z",
    ),
    "no mm commands": (lambda d: d.break_off("gpfs"), "fs1", "`prefix`, `mm_path`"),
    "no root of homes": (lambda d: d.break_off("home"), "homes", "mkdir "),
    "no getent": (lambda d: d.break_off("bin"), "names", "check the setting `passwd`"),
}


@pytest.mark.parametrize(("harm", "handler", "advice"), AWAY.values(), ids=AWAY.keys())
def test_a_backend_that_is_away_is_found_and_hides_no_other(
    desk: Desk, harm: Break, handler: str, advice: str
) -> None:
    well = {one["subject"].partition(":")[0] for one in desk("doctor", "--json").json}
    harm(desk)
    errors = findings(desk, "error")
    mine = [one for one in errors if one["subject"].partition(":")[0] == handler]
    assert mine and all(advice in one["advice"] for one in mine), errors
    found = desk("doctor", "--json", code=1).json
    assert {one["subject"].partition(":")[0] for one in found} == well


def test_settings_that_are_wrong_hide_no_other_handler(desk: Desk) -> None:
    desk.set("cluster: a", "clster: a")
    desk.set("filesystem: fs1", "fs: fs1")
    subjects = [one["subject"] for one in findings(desk, "error")]
    assert subjects == ["fs1", "slurm-a"]
    assert "lds" in {one["subject"] for one in findings(desk, "ok")}


def test_a_route_that_cannot_work_is_found(desk: Desk) -> None:
    desk.set("[slurm-a]", "[slrm-a]")
    [error] = findings(desk, "error")
    assert error["subject"] == "configuration"
    assert error["advice"] == "did you mean 'slurm-a'?"


@pytest.mark.parametrize(
    ("ids", "common"),
    [("from: 25000, to: 39999", "25000 to 29999"), ("from: 30000, to: 39999", "")],
    ids=["some", "none"],
)
def test_numbers_that_two_directories_give_out_are_told(desk: Desk, ids: str, common: str) -> None:
    text = desk.config.read_text()
    before, _, after = text.partition("  groups:\n")
    groups = f"""  groups:
    use: ad_group
    profile: adlds
    servers: ["emulated://{desk.root}/lds.json"]
    base: DC=hpc,DC=test
    container: OU=people,DC=hpc,DC=test
    ids: {{{ids}, container: "OU=people,DC=hpc,DC=test"}}
"""
    desk.config.write_text(f"{before}{groups}{after[after.index('  lds:') :]}")
    told = [one["message"] for one in findings(desk, "warning") if one["subject"] == "ad"]
    assert len(told) == bool(common)
    assert all(f"ad and groups, of two directories, both give out gids from {common}:" in one
               for one in told)  # fmt: skip


@pytest.mark.parametrize("text", ["", "service: [\n", "servce: x\n"], ids=["none", "yaml", "key"])
def test_a_configuration_that_does_not_load_is_the_one_finding(desk: Desk, text: str) -> None:
    desk.config.write_text(text)
    done = desk("doctor", "--json", code=4)
    assert [one["subject"] for one in done.json] == ["configuration"]
    assert "error" in desk("doctor", code=4).out


def test_it_says_whether_anybody_serves(desk: Desk) -> None:
    [warning] = findings(desk)
    assert (warning["subject"], warning["level"]) == ("service", "warning")
    with desk.service() as process:
        [found] = [one for one in desk("doctor", "--json").json if one["subject"] == "service"]
    assert found["level"] == "ok"
    assert str(process.pid) in found["message"]


def test_a_lane_that_is_paused_is_told_with_what_lets_it_go_on(desk: Desk) -> None:
    desk("pause", "slurm")
    desk("run", "--drain")
    [warning] = [one for one in findings(desk) if one["subject"] == "lane slurm"]
    assert warning["advice"] == "provisioner unpause slurm"


def test_a_file_set_aside_is_told(desk: Desk, tmp_path: Path) -> None:
    (desk.spool / "staging/link.yaml").symlink_to(tmp_path / "elsewhere")
    desk("run", "--drain")
    [warning] = [one for one in findings(desk) if one["subject"] == "quarantine"]
    assert "link.yaml" in warning["message"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
def test_a_spool_of_another_user_is_not_judged_by_who_asks(desk: Desk) -> None:
    """Its advice would be to give the service's directories away."""
    os.chown(desk.spool, 65534, 65534)
    [error] = findings(desk, "error")
    assert error["advice"].startswith("sudo -u nobody provisioner doctor")


def test_it_ends_with_what_it_counted(desk: Desk) -> None:
    refuse(desk)
    done = desk("doctor", code=1)
    assert done.out.splitlines()[-1].startswith("2 errors, 1 warning, ")
    assert "what to do: check that slurmdbd is up" in done.out
    assert clean(done.out) and "\\x1b[31m" in done.out


def test_a_clock_that_jumped_is_told_for_a_week(desk: Desk) -> None:
    assert [one for one in findings(desk) if one["subject"] == "clock"] == []
    told = []
    for ago in (3600, 8 * 86400):
        book = Journal.open(desk.root / "journal/journal.db")
        with book.transaction() as conn:
            facts.put(conn, facts.JUMPED, f"{time.time() - ago} 864000.0")
        book.close()
        told.append([one["message"] for one in findings(desk) if one["subject"] == "clock"])
    assert [len(one) for one in told] == [1, 0]
    assert "jumped forward by 10 days, to " in told[0][0]


def test_a_clock_that_may_be_ahead_is_told_with_what_to_type(desk: Desk) -> None:
    seen = clock.look()
    book = Journal.open(desk.root / "journal/journal.db")
    with book.transaction() as conn:
        facts.put(conn, facts.CLOCK, str(seen))
        facts.put(
            conn, facts.DOUBTED, doubts.written((doubts.Doubt(3456000.0, seen.steady + 9e4),))
        )
    book.close()
    [finding] = [one for one in findings(desk, "warning") if one["subject"] == "clock"]
    assert "may be 40 days ahead: for 25 hours, dates and retention" in finding["message"]
    assert "chronyc makestep, or timedatectl set-time" in finding["advice"]


def test_a_file_that_is_never_taken_is_told_by_doctor_and_queue(desk: Desk) -> None:
    path = desk.spool / "staging" / "USER.YAML"
    path.write_text("action: user.provision\n")
    os.utime(path, (1, 1))
    [finding] = [one for one in findings(desk, "warning") if one["subject"] == "staging"]
    assert "USER.YAML. A request's file name must end in .yaml, .yml or .json" in finding["message"]
    assert desk("queue", "--json").json["misnamed"] == ["USER.YAML"]
    assert "never taken from staging because of their names: USER.YAML" in desk("queue").out


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_what_is_mounted_in_staging_is_told_with_what_unmounts_it(desk: Desk) -> None:
    path = desk.spool / "staging" / "mine.yaml"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    try:
        [finding] = [one for one in findings(desk, "warning") if one["subject"] == "staging"]
        assert finding["message"] == "something is mounted on 1 name in staging: mine.yaml"
        mend(desk, finding["advice"])
        assert not path.is_mount()
    finally:
        subprocess.run(["umount", "--quiet", path], check=False, capture_output=True)


@pytest.mark.parametrize(
    ("setting", "handler", "program"),
    [
        ("sacctmgr", "slurm-a: slurmdbd", "slurm/bin/sacctmgr"),
        ("scontrol", "slurm-a: slurmctld", "slurm/bin/scontrol"),
        ("squeue", "slurm-a: squeue", "slurm/bin/squeue"),
        ("passwd", "names", "bin/getent"),
        ("group", "names", "bin/getent"),
    ],
)
def test_a_configured_program_that_is_not_there_is_found(
    desk: Desk, setting: str, handler: str, program: str
) -> None:
    desk.set(f'{setting}: ["{desk.root}/{program}"', f'{setting}: ["{desk.root}/{program}x"')
    found, *_ = findings(desk, "error")  # both clusters have the same programs
    assert found["subject"] == handler
    assert f"{program}x" in found["message"]


@pytest.mark.parametrize("program", ["mmsetquota", "mmputacl", "chown"])
def test_a_program_of_a_file_system_that_is_not_there_is_found(desk: Desk, program: str) -> None:
    (desk.root / "gpfs/bin" / program).unlink()
    [found] = findings(desk, "error")
    assert (found["subject"], found["message"]) == (
        "fs1",
        f"not there, or cannot be run: {desk.root}/gpfs/bin/{program}",
    )


def test_what_a_backend_says_in_several_lines_is_one_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    program = desk.root / "slurm/bin/sacctmgr"
    program.write_text("#!/bin/sh\nprintf 'error: first\\nerror: second\\n' >&2\nexit 1\n")
    out = desk("doctor", code=None).out
    assert any("first" in line and "second" in line for line in out.splitlines())
