"""docs/slurm.md says of every limit what the tests of the limits hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.slurm.limits.keys import LIMITS, PARTS, REFUSED, TEXTS, Limit
from handlers.slurm.limits.limits import clear
from handlers.slurm.limits.merge import DEFAULTS, Rule
from tests.support import slurm_rounds

PAGE = Path("docs/slurm.md")


def rows(heading: str) -> list[list[str]]:
    """Read the rows of the table under a heading."""
    section = (
        PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    )
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return cells[2:]


def code(text: str) -> str:
    return f"`{text}`"


def also(limit: Limit) -> str:
    """Name what else is taken for a limit: other names, and keys that are a part of it."""
    names = [name for name, _ in limit.names if name != limit.name]
    parts = [f"{part.name}=N" for part in PARTS if part.of == limit.name]
    return ", ".join(map(code, names + parts))


def cleared(limit: Limit) -> str:
    return code(f"{limit.name}={clear(limit.name)}")


def test_every_limit_is_listed_with_its_names_and_what_clears_it() -> None:
    listed = [(key, names, kind, clears) for key, names, kind, _, clears in rows("Keys")]
    assert listed == [
        (code(limit.name), also(limit), limit.kind.value, cleared(limit))
        for limit in LIMITS.values()
    ]


MERGED = {Rule.LARGEST: "the largest", Rule.SMALLEST: "the smallest", Rule.CONFLICT: "a conflict"}


def test_it_says_of_every_limit_how_claims_are_merged() -> None:
    listed = {key: merged for key, _, _, merged, _ in rows("Keys")}
    assert listed.pop(code("QOS")) == "all of them"
    others = {name: rule for name, rule in DEFAULTS.items() if name != "QOS"}
    assert listed == {code(name): MERGED[rule] for name, rule in others.items()}


def test_every_rule_stands_in_its_table() -> None:
    assert [row[0] for row in rows("Several claims")] == [code(rule) for rule in Rule]


def test_what_is_written_sent_and_kept_is_what_was_tried() -> None:
    assert rows("Written, sent, kept") == [
        [
            code(written.replace("@", "x")),
            code(sent.replace("@", "x")) if sent else "nothing: it is so",
            ", ".join(code(f"{place}: {value}".replace("@", "x")) for place, value in seen.items())
            or "nothing",
        ]
        for written, sent, seen in slurm_rounds.ROUNDS
    ]


def test_what_slurm_would_make_of_mistakes_is_what_was_tried() -> None:
    taken = [
        [
            code(written),
            code(kept) if kept else "nothing",
            "refused" if written in slurm_rounds.REFUSED_BY_26_05 else "the same",
            code(nearest),
        ]
        for written, (kept, nearest) in slurm_rounds.TAKEN.items()
    ]
    refused = [
        [code(written.replace("@", "x")), "refused", "refused", code(nearest.replace("@", "x"))]
        for written, nearest in slurm_rounds.REFUSED.items()
    ]
    assert rows("Refused, and what to write") == taken + refused


@pytest.mark.parametrize("key", [*REFUSED, *TEXTS])
def test_every_other_key_is_named(key: str) -> None:
    listed = {row[0]: row[1] for row in rows("Other keys")}
    assert code(key) in listed
    assert key in TEXTS or REFUSED[key][1] == listed[code(key)]
