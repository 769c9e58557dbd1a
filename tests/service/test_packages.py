"""The package for Debian 12 on a copy of this machine; `make packages-check` tries the others.

`deploy/packages/story` goes through it: refused without Python, installed, a request served in a
sandbox, upgraded, removed, purged. It ends at the first thing that is not as it should be.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.lab,  # root, and Debian 12
    pytest.mark.skipif("not __import__('os').environ.get('PROVISIONER_LAB')", reason="no lab"),
]

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "deploy/packages"


def test_the_package_for_debian_12_is_installed_upgraded_and_removed(tmp_path: Path) -> None:
    bin_directory = Path(sys.executable).parent
    build = [f"{PACKAGES}/build", str(bin_directory), str(tmp_path), "deb12"]
    built = subprocess.run(build, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (package,) = tmp_path.glob("*.deb")
    check = [f"{PACKAGES}/check", "here", str(package)]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "purged: the journal stays" in done.stdout
