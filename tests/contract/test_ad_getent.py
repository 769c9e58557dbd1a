"""The emulated getent says of an emulated directory what the real one says of a real one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.getent import install
from tests.support.ad_backends import Backend, emulated


@pytest.fixture
def ad(tmp_path: Path) -> Backend:
    backend = emulated(tmp_path, "ad")
    posix = {"gidNumber": 100, "unixHomeDirectory": "/home/jdoe", "loginShell": "/bin/bash"}
    user = backend.user("jdoe", uidNumber=10_000, displayName="Jane: Doe", **posix)
    backend.user("nonumber")
    group: dict[str, Any] = {"objectClass": ["top", "group"], "sAMAccountName": "cf3"}
    backend.directory().add(
        f"CN=cf3,OU=groups,{backend.base}", {**group, "gidNumber": 20_000, "member": [user]}
    )
    return backend


@pytest.mark.parametrize(
    ("asked", "code", "printed"),
    [
        (["passwd", "jdoe"], 0, "jdoe:x:10000:100:Jane  Doe:/home/jdoe:/bin/bash\n"),
        (["passwd", "10000"], 0, "jdoe:x:10000:100:Jane  Doe:/home/jdoe:/bin/bash\n"),
        (["passwd"], 0, "jdoe:x:10000:100:Jane  Doe:/home/jdoe:/bin/bash\n"),
        (["passwd", "nonumber"], 2, ""),
        (["passwd", "nobody-here"], 2, ""),
        (["passwd", "cf3"], 2, ""),
        (["group", "cf3"], 0, "cf3:x:20000:jdoe\n"),
        (["group", "20000"], 0, "cf3:x:20000:jdoe\n"),
        (["group", "jdoe"], 2, ""),
        (["shoes", "jdoe"], 1, ""),
    ],
)
def test_lines_and_exit_codes(
    ad: Backend, tmp_path: Path, asked: list[str], code: int, printed: str
) -> None:
    program = install(tmp_path / "bin", tmp_path / "ad.json")
    done = subprocess.run([program, *asked], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, printed)


def test_two_directories_answer_in_their_order(ad: Backend, tmp_path: Path) -> None:
    lds = emulated(tmp_path, "adlds")
    numbers = {"uidNumber": 30_000, "gidNumber": 100}
    lds.user("jdoe", **numbers)
    lds.user("asmith", **{**numbers, "uidNumber": 30_001})
    program = install(tmp_path / "bin", tmp_path / "ad.json", tmp_path / "adlds.json")
    done = subprocess.run([program, "passwd", "jdoe", "asmith"], capture_output=True, check=True)
    assert [line.split(b":")[2] for line in done.stdout.splitlines()] == [b"10000", b"30001"]
