"""What ldap3 calls of deprecated names and functions ends nothing where warnings are errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ASKS = """
import sys
from pathlib import Path
from handlers.emulators.ldap.directory import create
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.settings import DirectorySettings
path = Path(sys.argv[1])
create(path, "ad", "DC=campus,DC=test")
given = {"servers": [f"emulated://{path}"], "base": "DC=campus,DC=test"}
directory = Directory(DirectorySettings.model_validate(given), str)
directory.add("CN=a,OU=people,DC=campus,DC=test", {"objectClass": "container"})
print(len(directory.search("DC=campus,DC=test", "(objectClass=*)", ["cn"])))
"""


def test_a_directory_is_asked_where_warnings_are_errors(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", _ASKS, str(tmp_path / "ad.json")]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 4
