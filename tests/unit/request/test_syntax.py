"""Mistakes of YAML, in words of who wrote the file."""

from __future__ import annotations

import pytest

from provisioner.request.documents import InvalidDocument, parse
from provisioner.request.places import dotted, path_of

USER = "provisioner: 1\naction: user.provision\nuser:\n"


def complaint(text: str) -> str:
    with pytest.raises(InvalidDocument) as caught:
        parse(text.encode())
    return str(caught.value.problems[0]).replace("this is not YAML: ", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            USER + "\tname: jdoe\n",
            "line 4: the line begins with a tab; expected spaces in place of the tab: YAML takes "
            "no tabs before a key",
        ),
        (
            USER + "  name: jdoe\n\tshell: /bin/bash\n",
            "line 5: the line begins with a tab; expected spaces in place of the tab: YAML takes "
            "no tabs before a key",
        ),
        (
            USER + "  name: jdoe\n    shell: /bin/bash\n",
            "line 5: the line stands deeper than line 4, which has a value already; expected as "
            "many blanks before it as before line 4",
        ),
        (
            USER + "    name: jdoe\n  shell: /bin/bash\n",
            "line 5: the line has 2 blanks before it, and no line above it has as many; expected "
            "4 blanks, as before line 4",
        ),
        (
            USER + "  full_name: Doe: Jane\n",
            "line 4: a second `: ` in the line; expected quotes around a value that contains `: `",
        ),
        (
            "users: [jdoe, asmith\nquota: {space: 5TiB}\n",
            "line 1: the list that begins with [ is not closed, or lacks a comma; expected ] at "
            "its end, and commas between its entries",
        ),
        (
            "quota: {space: 5TiB\nid: 4\n",
            "line 1: the mapping that begins with { is not closed, or lacks a comma; expected } at "
            "its end, and commas between its entries",
        ),
        (
            "users:\n  - jdoe\n  -asmith\nid: 4\n",
            "line 3: a dash without a blank after it; expected `- ` before each entry of a list",
        ),
        (
            "id: 4\nusers jdoe\nname: x\n",
            "line 2: the line has no colon after its key; expected `key: value`",
        ),
    ],
)
def test_a_mistake_of_yaml_is_told_by_the_line_to_change(text: str, said: str) -> None:
    assert complaint(text) == said


def test_any_other_mistake_keeps_the_words_of_the_parser() -> None:
    assert complaint("a: %b\n") == (
        "line 1: found character that cannot start any token; expected a mapping of keys and values"
    )


def test_an_entry_of_a_list_is_counted_as_people_count() -> None:
    assert dotted(("allocation", "users", 1)) == "allocation.users[2]"


@pytest.mark.parametrize("key", ["allocation.users[2]", "allocation.users.1"])
def test_a_written_place_is_read_back(key: str) -> None:
    assert path_of(key) == ("allocation", "users", 1)
