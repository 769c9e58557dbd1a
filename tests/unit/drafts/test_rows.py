"""A table becomes a request a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.contract import InvalidRequest
from provisioner.drafts import rows
from provisioner.request.request import parse_request

SHIPPED = sorted((Path(__file__).parents[3] / "templates/each").iterdir())
USER = rows.template(
    b"provisioner: 1\naction: user.provision\n"
    b"user: {name: $name, full_name: $first $last, email: $email, groups: [$groups]}\n"
)


def requests(table: str) -> list[dict[str, object]]:
    """Return the user of each row's request."""
    listed, _ = rows.read(table.encode(), USER)
    return [dict(parse_request(USER.body(row)).values["user"]) for row in listed]


def test_each_row_becomes_a_request() -> None:
    anna, bert = requests("name,first,last\nanna,Anna,Berg\nbert,Bert,Ax\n")
    assert (anna["name"], anna["full_name"]) == ("anna", "Anna Berg")
    assert bert["name"] == "bert"


def test_an_empty_cell_leaves_its_key_out() -> None:
    [anna] = requests("name,email,first\nanna,,\n")
    assert (anna["email"], anna["full_name"]) == (None, None)


@pytest.mark.parametrize("cell", ["g1 g2", "g1;g2", '"g1, g2"'])
def test_a_cell_in_a_list_has_several_entries(cell: str) -> None:
    [anna] = requests(f"name,groups\nanna,{cell}\n")
    assert anna["groups"] == ("g1", "g2")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_first_line_shows_the_delimiter(delimiter: str) -> None:
    table = "Name,First,Last\nanna,Anna,Berg\n".replace(",", delimiter)
    assert requests(table)[0]["full_name"] == "Anna Berg"


def test_a_cell_is_a_value_whatever_stands_in_it() -> None:
    [anna] = requests('name,first\nanna,"x}\naction: user.suspend\n$email {{ 7 }}"\n')
    assert anna["name"] == "anna"
    assert "$email {{ 7 }}" in str(anna["full_name"])


def test_rows_have_the_lines_of_the_file_and_empty_ones_are_left_out() -> None:
    listed, _ = rows.read(b"name\nanna\n\n , \nbert\n", USER)
    assert [(row.line, row.cells["name"]) for row in listed] == [(2, "anna"), (5, "bert")]


def test_a_row_with_too_few_cells_is_wrong_alone() -> None:
    listed, _ = rows.read(b"name,first\nanna\nbert,Bert\n", USER)
    assert [row.problem for row in listed] == ["1 cells for 2 columns", ""]


def test_columns_that_the_template_does_not_use_are_named() -> None:
    assert rows.read(b"name,room\nanna,7\n", USER)[1] == ("room",)


WRONG = {
    "a misspelt column": (b"name,emial\n", "did you mean", "email"),
    "no column of it": (b"a,b\n1,2\n", "names no column", ""),
    "a column twice": (b"name,Name\n", "'name' is there twice", ""),
    "no row": (b"name\n", "no row", ""),
    "an open quote": (b'name\n"anna\n', "unexpected end of data", ""),
    "another encoding": ("name\njürgen\n".encode("latin-1"), "line 2: the file is not UTF-8", ""),
    "too many bytes": (b"name\n" + b"x" * rows.SIZE, "more than", ""),
    "too many rows": (b"name\n" + b"x\n" * (rows.ROWS + 1), "more than 10000 rows", ""),
}


@pytest.mark.parametrize(("table", "message", "nearest"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_table_is_told(table: bytes, message: str, nearest: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        rows.read(table, USER)
    assert nearest or message in error.value.message
    assert error.value.nearest == nearest


def test_a_template_without_columns_is_none() -> None:
    with pytest.raises(InvalidRequest, match="names no column"):
        rows.template(b"provisioner: 1\naction: reconcile\n")


FILLED = {
    "id": "41",
    "resource": "hpc-storage",
    "project": "CF0003",
    "space": "5TiB",
    "files": "10",
    "uid": "20001",
    "email": "jdoe@campus.test",
    "ends": "2099-12-24T00:00:00Z",
    "shell": "/bin/bash",
    "specs": "GrpTRES=cpu=64",
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_template_makes_a_right_request_with_and_without_its_options(
    path: Path,
) -> None:
    template = rows.template(path.read_bytes())
    head = path.read_text().partition("\n")[0]
    needed = {name for name in template.columns if f"`{name}`" in head} - {"cause"}
    assert needed
    for columns in (template.columns, needed):
        names = sorted(columns)
        line = ",".join(FILLED.get(name, name) for name in names)
        [row] = rows.read(f"{','.join(names)}\n{line}\n".encode(), template)[0]
        parse_request(template.body(row))
