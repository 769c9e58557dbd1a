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
        ("cluster: a", "clster: a", "handlers.slurm-a: "),
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
