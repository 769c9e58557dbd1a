"""Which Debian a lab runs, and where it is had from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.lab import suites
from deploy.lab.place import LabError, settled_suite
from deploy.lab.versions import at_least, number


@pytest.mark.parametrize("name", ["", "../etc", "--variant=x", "Trixie", "tri xie"])
def test_a_suite_is_named_by_its_code_name(name: str) -> None:
    with pytest.raises(LabError, match="code name"):
        suites.tree(name)


def test_a_tree_that_is_there_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    kept = tmp_path / "provisioner-lab" / "trixie"
    for package in suites.MORE:
        (kept / "usr/share/doc" / package).mkdir(parents=True)
    assert suites.tree("trixie") == kept
    with pytest.raises(LabError, match="install debootstrap"):
        suites.tree("forky")


@pytest.mark.parametrize(
    ("kept", "asked", "suite"),
    [
        (None, None, None),
        (None, "trixie", "trixie"),
        ({"suite": "trixie"}, None, "trixie"),
        ({"suite": "trixie"}, "trixie", "trixie"),
        ({"suite": None}, None, None),
        ({}, None, None),
    ],
)
def test_a_lab_stays_on_the_programs_that_wrote_its_data(
    tmp_path: Path, kept: dict[str, object] | None, asked: str | None, suite: str | None
) -> None:
    if kept is not None:
        (tmp_path / "place.json").write_text(json.dumps({"number": 1, "ports": {}, **kept}))
    assert settled_suite(tmp_path, asked) == suite


@pytest.mark.parametrize(("kept", "asked"), [("trixie", "forky"), (None, "trixie")])
def test_a_lab_does_not_change_its_suite(tmp_path: Path, kept: str | None, asked: str) -> None:
    told = {"number": 1, "ports": {}, "suite": kept}
    (tmp_path / "place.json").write_text(json.dumps(told))
    with pytest.raises(LabError, match="choose another directory"):
        settled_suite(tmp_path, asked)


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("slurm-wlm 22.05.8", "22.05.8"),
        ("slurm 26.05.5", "26.05.5"),
        ("mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for debian-linux-gnu", "11.8.9"),
        ("Version 4.22.11-Debian-4.22.11+dfsg-0+deb13u1", "4.22.11"),
        ("@(#) $OpenLDAP: slapd 2.6.10+dfsg-1 (May 29 2025 23:41:48) $", "2.6.10"),
        ("nothing of the kind", ""),
    ],
)
def test_a_version_is_found_in_what_a_program_prints(printed: str, version: str) -> None:
    assert number(printed) == version


@pytest.mark.parametrize(
    ("version", "at_or_after"), [("22.05.8", False), ("24.11.0", True), ("26.05.5", True)]
)
def test_versions_are_compared_number_by_number(version: str, at_or_after: bool) -> None:
    assert at_least(version, "24.11") is at_or_after
