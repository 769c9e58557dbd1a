"""What the emulated directory promises beyond what a handler sees: files, processes, kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.ad_backends import Backend, emulated

WRITER = """
import sys
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.settings import DirectorySettings
base, file, name = sys.argv[1:]
d = Directory(DirectorySettings(servers=(file,), base=base), lambda name: "")
for n in range(50):
    d.add(f"CN={name}{n},OU=people,{base}", {"objectClass": ["top", "user"],
          "sAMAccountName": f"{name}{n}"})
"""


def count(ad: Backend) -> int:
    return len(ad.directory().search(f"OU=people,{ad.base}", "(objectClass=user)", ["cn"], "LEVEL"))


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    ad = emulated(tmp_path, "ad")
    given = [ad.base, ad.connection["servers"][0]]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, *given, f"w{n}"]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = ad.directory().search(ad.base, "(objectClass=user)", ["objectSid"])
    assert len({entry.raw("objectSid") for entry in found}) == 150


def test_half_a_line_does_not_count_and_is_taken_away(tmp_path: Path) -> None:
    ad = emulated(tmp_path, "ad")
    ad.user("jdoe")
    file = tmp_path / "ad.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"dn": "CN=half')
    assert count(ad) == 1
    ad.user("asmith")
    assert count(ad) == 2
    assert b"CN=half" not in file.read_bytes()


def test_no_password_is_kept(tmp_path: Path) -> None:
    ad = emulated(tmp_path, "ad")
    ad.user("jdoe", unicodePwd='"s3cret-Secret"'.encode("utf-16-le"), userAccountControl=512)
    text = (tmp_path / "ad.json").read_text()
    assert "s3cret" not in text.replace("\\u0000", "")
    assert "unicodePwd" not in text


def test_more_than_a_page_comes_page_by_page(tmp_path: Path) -> None:
    ad = emulated(tmp_path, "ad")
    directory = ad.directory()
    for n in range(1201):
        directory.add(f"CN=u{n},OU=people,{ad.base}", {"objectClass": ["top", "contact"]})
    found = directory.search(f"OU=people,{ad.base}", "(objectClass=contact)", ["cn"])
    assert len({entry.dn for entry in found}) == 1201
