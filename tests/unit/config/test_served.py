"""What a service started with is recorded whole, and compared with a file option by option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.config.schema import examined
from provisioner.config.served import Served, differences, values

BEFORE = """\
service: x
spool: s
journal: j.db
handlers:
  slurm-a: {use: slurm, cluster: a, partitions: [cpu, gpu]}
  fs1: {use: gpfs_fileset, filesystem: fs1}
policy:
  rules:
    - {who: [coldfront], actions: ["*"]}
routes:
  user.provision:
    - {name: account, handler: ad, with: {name: "{{ user.name }}"}}
    - {name: home, handler: homes, needs: [account]}
"""

Row = tuple[str, object, object, int | None]


def read(directory: Path, text: str) -> tuple[dict[str, Any], Any]:
    """Return all options of a file, and the lines of those that it sets."""
    path = directory / "provisioner.yaml"
    path.write_text(text)
    found = examined(path)
    assert found.config is not None, found.problems
    return values(found.config), found.lines


def differing(directory: Path, before: str, after: str) -> list[Row]:
    old, _ = read(directory, before)
    new, lines = read(directory, after)
    return [(d.key, d.before, d.after, d.line) for d in differences(old, new, lines)]


GPFS = {"use": "gpfs_fileset", "filesystem": "fs1"}
LAST: dict[str, Any] = {"name": "late", "handler": "ad", "needs": [], "each": None, "when": None}
TABLE: dict[str, tuple[str, str, list[Row]]] = {
    "nothing, in another form": ("{use: slurm, cluster: a,", "{cluster: a, use: slurm,", []),
    "a default that the file names now": ("journal: j.db", "journal: j.db\nmode: converge", []),
    "an option that is named now": (
        "journal: j.db", "journal: j.db\nmode: observe",
        [("mode", "converge", "observe", 4)],
    ),
    "a setting of a handler": (
        "cluster: a", "cluster: b", [("handlers.slurm-a.cluster", "a", "b", 5)],
    ),
    "a setting that is gone": (
        ", partitions: [cpu, gpu]", "",
        [("handlers.slurm-a.partitions", ["cpu", "gpu"], None, None)],
    ),
    "a list, as a whole": (
        "[cpu, gpu]", "[cpu]",
        [("handlers.slurm-a.partitions", ["cpu", "gpu"], ["cpu"], 5)],
    ),
    "a handler that is gone": (
        "  fs1: {use: gpfs_fileset, filesystem: fs1}\n", "",
        [("handlers.fs1", GPFS, None, None)],
    ),
    "a handler that is new": (
        "  fs1:", "  fs2: {use: gpfs_fileset, filesystem: fs1}\n  fs1:",
        [("handlers.fs2", None, GPFS, 6)],
    ),
    "one line of a rule": (
        'actions: ["*"]', 'actions: ["*"], review: true',
        [("policy.rules[1].review", False, True, 9)],
    ),
    "a parameter of a step": (
        "{{ user.name }}", "x{{ user.name }}",
        [("routes.user.provision.account.with.name", "{{ user.name }}", "x{{ user.name }}", 12)],
    ),
    "a step that is gone": (
        "    - {name: home, handler: homes, needs: [account]}\n", "",
        [(
            "routes.user.provision.home",
            {**LAST, "name": "home", "handler": "homes", "needs": ["account"], "optional": False,
             "with": {}},
            None, None,
        )],
    ),
    "a step before others": (
        "    - {name: account", "    - {name: late, handler: ad}\n    - {name: account",
        [("routes.user.provision.late", None, {**LAST, "optional": False, "with": {}}, 12)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_each_option_that_differs_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    old, new, found = TABLE[name]
    assert old in BEFORE
    assert differing(tmp_path, BEFORE, BEFORE.replace(old, new)) == found


def test_steps_in_another_order_are_one_difference(tmp_path: Path) -> None:
    steps = ["    - {name: one, handler: ad}\n", "    - {name: two, handler: ad}\n"]
    head = "service: x\nspool: s\njournal: j.db\nroutes:\n  user.provision:\n"
    found = differing(tmp_path, head + "".join(steps), head + "".join(reversed(steps)))
    assert found == [("routes.user.provision", ["one", "two"], ["two", "one"], 5)]


def test_a_route_without_a_place_in_the_file_is_the_shipped_one(tmp_path: Path) -> None:
    own = BEFORE.partition("routes:")
    [*found] = differing(tmp_path, BEFORE, own[0])
    assert found
    assert {(key.startswith("routes.user.provision"), line) for key, _, _, line in found} == {
        (True, None)
    }


def test_an_option_that_the_served_program_did_not_know_is_no_difference(tmp_path: Path) -> None:
    new, lines = read(tmp_path, BEFORE)
    old = {**new, "retention": {k: v for k, v in new["retention"].items() if k != "journal_days"}}
    assert differences(old, new, lines) == []
    new, lines = read(tmp_path, BEFORE + "retention: {journal_days: 40}\n")
    [found] = differences(old, new, lines)
    assert (found.key, found.before, found.after) == ("retention.journal_days", None, 40)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    served = Served(1.5, "0.1.0", read(tmp_path, BEFORE)[0])
    assert Served.parse(str(served)) == served


def test_a_record_has_names_of_secrets_and_where_they_are_and_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "ad").write_text("hunter2\n")
    kept, _ = read(tmp_path, BEFORE + "secrets: {ad-password: ad}\n")
    assert kept["secrets"] == {"ad-password": str(tmp_path / "ad")}
    assert "hunter2" not in str(kept)
