"""The glossary names what there is: each class, module, table and column of it exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from provisioner.journal.schema import metadata

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| Word")
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`(provisioner\.[\w.:]+)`", row[2])})
TABLES = sorted({name for row in ROWS for name in re.findall(r"table `(\w+)`", row[2])})
COLUMNS = sorted({name for row in ROWS for name in re.findall(r"column `([\w.]+)`", row[2])})


def test_a_word_is_told_once_and_there_are_about_thirty() -> None:
    words = [row[0] for row in ROWS]
    assert len(words) == len(set(words))
    assert 20 <= len(words) <= 32


@pytest.mark.parametrize("name", NAMED)
def test_what_a_word_is_is_there(name: str) -> None:
    module, _, attribute = name.partition(":")
    there = importlib.import_module(module)
    assert not attribute or hasattr(there, attribute)


def test_tables_and_columns_are_there() -> None:
    assert set(TABLES) <= set(metadata.tables)
    for name in COLUMNS:
        table, column = name.split(".")
        assert column in metadata.tables[table].columns
