"""The mm commands: argv, and how a command's end is read; see `test_mm_rows` for its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from handlers.gpfs.mm.client import Mm
from handlers.gpfs.terms.units import fits, kib, round_up, size_text
from provisioner.contract import Completed, Fault, Permanent, Transient, Unavailable, Unknown

MMLSFS = """\
mmlsfs::HEADER:version:reserved:reserved:deviceName:fieldName:data:remarks:
mmlsfs::0:1:::FS1:quotasEnforced:user;group;fileset::
mmlsfs::0:1:::FS1:ACLSemantics:nfs4::
mmlsfs::0:1:::FS1:blockSize:4194304::
mmlsfs::0:1:::FS1:defaultMountPoint:%2Ffs%2Ftest::
"""

ACTIVE = (
    "mmgetstate::HEADER:version:reserved:reserved:nodeName:nodeNumber:state:quorum:nodesUp:"
    "totalNodes:remarks:cnfsState:daemonShortName:daemonNodeName:\n"
    "mmgetstate::0:1:::ec01:1:active:3:4:4:quorum node:(undefined):ec01:ec01:\n"
)


class Program:
    """Answers by the command's name; keeps what it was asked."""

    def __init__(self, answers: Mapping[str, tuple[int, str, str]] | None = None) -> None:
        self.answers = {"mmgetstate": (0, ACTIVE, ""), **(answers or {})}
        self.calls: list[tuple[str, ...]] = []
        self.hangs: set[str] = set()

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        self.calls.append(tuple(argv))
        name = next(w for w in reversed([*argv]) if "/" in w and w.rsplit("/")[-1] in self.answers)
        code, out, err = self.answers[name.rsplit("/")[-1]]
        hangs = name.rsplit("/")[-1] in self.hangs
        return Completed(tuple(argv), -9 if hangs else code, out, err, timed_out=hangs)


def test_facts_of_a_file_system() -> None:
    facts = Mm(Program({"mmlsfs": (0, MMLSFS, "")}), "FS1").facts()
    assert (facts.mount, facts.block_kib, facts.nfs4) == ("/fs/test", 4096, True)
    assert facts.enforced == ("user", "group", "fileset")


@pytest.mark.parametrize("name", ["quotasEnforced:none", "ACLSemantics:off", "blockSize:1000"])
def test_a_value_that_was_moved_by_another_is_not_believed(name: str) -> None:
    found = name.partition(":")[0]
    program = Program({"mmlsfs": (0, MMLSFS.replace(f":{found}:", f":{name}:"), "")})
    with pytest.raises(Unavailable, match=found):
        Mm(program, "FS1").facts()


@pytest.mark.parametrize(
    ("prefix", "argv"),
    [
        ((), ("/m/mmchfileset", "fs1", "a", "-t", "b c")),
        (("sudo", "-n"), ("sudo", "-n", "/m/mmchfileset", "fs1", "a", "-t", "b c")),
        (("ssh", "g1"), ("ssh", "g1", "/m/mmchfileset", "fs1", "a", "-t", "'b c'")),
    ],
)
def test_words_reach_the_command_whole(prefix: tuple[str, ...], argv: tuple[str, ...]) -> None:
    run = Program({"mmchfileset": (0, "", "")})
    Mm(run, "fs1", prefix, mm_path="/m").write("mmchfileset", "fs1", "a", "-t", "b c")
    assert run.calls == [argv]


DOWN = ACTIVE.replace(":active:", ":down:")
WRITES: list[tuple[str, dict[str, tuple[int, str, str]], type[Fault]]] = [
    ("said no", {"mmsetquota": (22, "", "bad")}, Permanent),
    ("daemon down", {"mmsetquota": (1, "", "x"), "mmgetstate": (0, DOWN, "")}, Unavailable),
    ("cannot be run", {"mmsetquota": (127, "", "not found")}, Unavailable),
    (
        "lock held",
        {"mmsetquota": (1, "", "The quota lock for file system fs1 is busy.")},
        Transient,
    ),
]


@pytest.mark.parametrize(("name", "answers", "fault"), WRITES, ids=[w[0] for w in WRITES])
def test_a_failed_write(
    name: str, answers: dict[str, tuple[int, str, str]], fault: type[Fault]
) -> None:
    with pytest.raises(fault):
        Mm(Program(answers), "fs1").write("mmsetquota", "fs1:a")


def test_a_write_without_an_answer_is_unknown() -> None:
    run = Program({"mmsetquota": (0, "", "")})
    run.hangs = {"mmsetquota"}
    with pytest.raises(Unknown):
        Mm(run, "fs1").write("mmsetquota", "fs1:a")


def test_a_write_whose_ssh_breaks_is_unknown() -> None:
    run = Program({"mmsetquota": (255, "", "Connection closed")})
    with pytest.raises(Unknown):
        Mm(run, "fs1", ("ssh", "g1")).write("mmsetquota", "fs1:a")


def test_stat_leaves_out_what_is_not_there() -> None:
    missing = "stat: cannot statx '/b': No such file or directory"
    run = Program({"stat": (1, "0 20 41f8 77 /a b\0", missing)})
    entries = Mm(run, "fs1").stat(["/a b", "/b"])
    assert {p: (e.gid, e.mode, e.directory) for p, e in entries.items()} == {
        "/a b": (20, 0o770, True)
    }


@pytest.mark.parametrize(
    "printed",
    [
        "  File: /a\n  Size: 4096",
        "0 0 41f8 77",
        "0 0 drwx 77 /a\0",
        "root root 41f8 77 /a\0",
        "0 0 41f8 77 /a\0Last login: today\0",
        "banner\0000 0 41f8 77 /a\0",
    ],
)
def test_a_stat_that_prints_something_else_is_told_with_what_it_printed(printed: str) -> None:
    with pytest.raises(Unavailable, match="cannot read its output") as caught:
        Mm(Program({"stat": (0, printed, "")}), "fs1").stat(["/a"])
    assert "uid gid mode inode path" in caught.value.message


def test_stat_that_did_not_run_is_no_absence() -> None:
    with pytest.raises(Unavailable):
        Mm(Program({"stat": (1, "", "sudo: a password is required")}), "fs1").stat(["/a"])


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [(4096, 5, True), (5, 5, True), (4, 5, False), (4097, 5, False), (4096, 4096, True)],
)
def test_limits_are_compared_as_gpfs_rounds_them(found: int, wanted: int, same: bool) -> None:
    assert fits(found, wanted, 4096) is same


def test_rounding_and_words_of_sizes() -> None:
    assert (kib(1), kib(1024), round_up(90000, 1024)) == (1, 1, 90112)
    assert [size_text(n) for n in (5 << 30, 1536 * 1024, 5)] == ["5 TiB", "1.5 GiB", "5 KiB"]
