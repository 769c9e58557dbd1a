"""Staging as the service's sweep finds it, and as another process does: in the same words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.contract import ConfigError
from provisioner.spool.scan import check_staging
from provisioner.spool.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool.create(tmp_path / "spool")
    yield made
    made.close()


def trouble(root: Path) -> str:
    """Return what another process says of staging."""
    try:
        check_staging(root)
    except ConfigError as error:
        return f"{error.message}: {error.advice}"
    return ""


def gone(staging: Path) -> None:
    staging.rmdir()


def a_file(staging: Path) -> None:
    staging.rmdir()
    staging.write_text("")


def a_link(staging: Path) -> None:
    staging.rename(staging.parent / "elsewhere")
    staging.symlink_to("elsewhere")


def not_sticky(staging: Path) -> None:
    staging.chmod(0o733)


def made_anew_and_not_sticky(staging: Path) -> None:
    staging.rename(staging.parent / "old")
    staging.mkdir()
    staging.chmod(0o777)


HARM: list[Callable[[Path], None]] = [gone, a_file, a_link, not_sticky, made_anew_and_not_sticky]


@pytest.mark.parametrize("harm", HARM)
def test_another_process_sees_the_trouble_that_the_service_has(
    spool: Spool, harm: Callable[[Path], None]
) -> None:
    assert (spool.waiting(1), spool.trouble, trouble(spool.root)) == ([], "", "")
    harm(spool.staging)
    assert spool.waiting(1) == []
    assert trouble(spool.root) == spool.trouble != ""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
def test_what_is_anothers_is_held_against_who_serves_and_not_against_who_asks(spool: Spool) -> None:
    for path in (spool.root, spool.staging):
        os.chown(path, 65534, 65534)
    assert trouble(spool.root) == ""
    os.chown(spool.staging, 54321, -1)
    assert "belongs to uid 54321, but the service runs as uid 65534" in trouble(spool.root)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_staging_on_another_file_system_is_told_with_what_unmounts_it(tmp_path: Path) -> None:
    Spool.create(tmp_path / "spool").close()
    staging = tmp_path / "spool/staging"
    # In a mount namespace of its own, so that nothing of it is left.
    inside = (
        f"mount -t tmpfs -o mode=1733 none {staging} && exec {sys.executable} -c "
        f"'from provisioner.spool.scan import check_staging; from pathlib import Path; "
        f'check_staging(Path("{tmp_path}/spool"))\''
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside], capture_output=True, text=True, check=False
    )
    assert f"ConfigError: {staging} is on another file system than active/" in done.stderr
