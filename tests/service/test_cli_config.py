"""What a site is made of, as the command line tells it: handlers, schema and configuration."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from provisioner.config.schema import load
from tests.support.cli_site import SERVED, Desk, sample


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give the command line of a site that served nothing yet."""
    return Desk(tmp_path / "site")


def test_handlers_are_listed_with_their_lanes(desk: Desk) -> None:
    said = desk("handlers").out
    assert "kinds: ad_account, ad_group, adlds_account, command, gpfs_fileset, " in said
    assert re.search(r"^slurm-a +slurm +lane slurm$", said, re.M)


def test_the_schema_takes_the_samples_and_refuses_the_wrong_one(desk: Desk) -> None:
    schema = desk("schema").json
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    for name in SERVED:
        assert check.is_valid(yaml.safe_load(Path(sample(name)).read_text())), name
    assert not check.is_valid(yaml.safe_load(Path(sample("wrong-quota.yaml")).read_text()))


def test_a_configuration_that_is_right_is_said_to_be(desk: Desk) -> None:
    assert desk("config", "check").out == f"{desk.config} is correct\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("service: sandbox", "service: a b", "line 2: service: 'a b'"),
        ("spool: spool", "spol: spool", "did you mean 'spool'?"),
        ("use: slurm", "use: slrm", "there is no handler 'slrm'"),
        ("use: slurm", "use: slrm", "handlers.slurm-a.use: "),
        ("cluster: a", "clster: a", "handlers.slurm-a.clster: unknown key"),
        ("[slurm-a]", "[slrm-a]", "did you mean 'slurm-a'?"),
    ],
)
def test_a_configuration_that_is_wrong_is_told_how(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    desk = Desk(tmp_path / "site")
    desk.set(old, new)
    assert said in desk("config", "check", code=4).err
    plain = desk("config", "check", "--json", code=4).json
    assert plain["right"] is False
    assert said in plain["problem"] + plain["advice"]


def test_the_example_of_a_configuration_loads_with_and_without_its_comments(desk: Desk) -> None:
    example = desk("config", "example").out
    path = Path(desk.file("example.yaml", example))
    assert load(path).handlers == {}
    path.write_text(re.sub(r"^  # ", "  ", example, flags=re.M))
    assert set(load(path).handlers) == {
        f"{kind}-a" for kind in desk("handlers", "--json").json["kinds"]
    }
    assert desk("--config", str(path), "config", "check").code == 0


WRONG = (
    ("service: sandbox", "service: sand box"),
    ("host:", "hosts:"),
    ("use: ad_group", "use: ad_grup"),
    ("filesystem: fs1", "filesytem: fs1"),
    ("cluster: b", "clustr: b"),
    ("[fs1]", "[fs11]"),
)
ROUTES = """
routes:
  user.provison: []
  project.provision:
    - {name: group, handler: groupz, with: {name: x}}
    - {name: late, handler: groups, needs: [early]}
"""
EVERY = [
    ("service", ""),
    ("hosts", "host"),
    ("handlers.groups.use", "ad_group"),
    ("handlers.fs1.filesystem", ""),
    ("handlers.fs1.filesytem", "filesystem"),
    ("handlers.slurm-b.cluster", ""),
    ("handlers.slurm-b.clustr", "cluster"),
    ("resources.hpc-storage.handlers[1]", "fs1"),
    ("routes.user.provison", "user.provision"),
    ("routes.project.provision[1]", ""),
    ("routes.project.provision[2]", ""),
]


@pytest.fixture
def wrong(tmp_path: Path) -> Desk:
    """Give a site whose configuration has a mistake in each of its parts."""
    desk = Desk(tmp_path / "site")
    for old, new in WRONG:
        desk.set(old, new)
    desk.config.write_text(desk.config.read_text() + ROUTES)
    return desk


def test_every_mistake_of_a_configuration_is_told_at_once(wrong: Desk) -> None:
    found = wrong("config", "check", "--json", code=4).json["problems"]
    assert [(problem["key"], problem["nearest"]) for problem in found] == EVERY


def test_each_mistake_of_a_configuration_is_told_with_its_line(wrong: Desk) -> None:
    found = wrong("config", "check", "--json", code=4).json["problems"]
    lines = wrong.config.read_text().splitlines()
    last = {"handlers.fs1.filesystem": "fs1:", "handlers.slurm-b.cluster": "slurm-b:"}
    for problem in found:
        key = re.sub(r"\[.*", "", problem["key"])
        named = last.get(key) or key.rpartition(".")[2]
        said = lines[problem["line"] - 1]
        step = re.search(r"\[(\d)\]$", problem["key"])
        assert named in said or (step and "handler" in said), problem


def test_what_only_the_whole_of_a_configuration_shows_is_told(desk: Desk) -> None:
    home = f'home: "{desk.root}/home/{{{{ name }}}}"'
    desk.config.write_text(desk.config.read_text().replace(home, 'home: "/elsewhere/{{ name }}"'))
    [problem] = desk("config", "check", "--json", code=4).json["problems"]
    assert "/elsewhere/" in problem["message"]
