"""Questions about a file system by REST: lists of many pages, answers that decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from handlers.gpfs.mm.programs import Programs, Tools
from handlers.gpfs.rest.client import Rest
from handlers.gpfs.rest.gui import Answer, Gui
from handlers.gpfs.rest.jobs import Jobs
from provisioner.contract import Json, Permanent, Unavailable
from provisioner.testing import site


def fileset(name: str, number: int, **config: object) -> dict[str, Any]:
    values = {
        "id": number, "rootInode": 524288 * number + 3, "status": "Linked", "path": f"/gpfs/{name}",
        "comment": "", "inodeSpace": number, "isInodeSpaceOwner": True, "maxNumInodes": 1024,
    }  # fmt: skip
    usage = {"allocatedInodes": 1024}
    names = {"filesetName": name, "filesystemName": "fs1"}
    return {**names, "config": {**values, **config}, "usage": usage}


class Prepared(Gui):
    """Gives prepared answers by the path that is asked for, with its query."""

    def __init__(self, answers: Mapping[str, Mapping[str, Any] | int]) -> None:
        super().__init__(["https://a"], lambda: ("u", "p"), None)
        self.answers = answers

    def read(self, path: str) -> Answer:
        answer = self.answers[path]
        if isinstance(answer, int):
            words = "Invalid value in 'filesetName'" if answer == 400 else "odd"
            return Answer("https://a", path, answer, {"status": {"message": words}})
        return Answer("https://a", f"GET {path}", 200, answer)

    def write(self, method: str, path: str, body: Mapping[str, Json] | None) -> Answer:
        raise Permanent("it may only read: 403")


def rest(answers: Mapping[str, Mapping[str, Any] | int]) -> Rest:
    gui = Prepared(answers)
    tools = Tools(Programs(site().run))
    return Rest(gui, Jobs(gui), "fs1", tools, lambda: "/gpfs")


LIST = "filesystems/fs1/filesets?fields=:all:"


def test_a_list_is_read_to_its_last_page() -> None:
    """The API gives 1000 objects a page, and names the last one; `next` may name localhost."""
    pages: dict[str, dict[str, Any]] = {
        LIST: {
            "filesets": [fileset("root", 0)],
            "paging": {"lastId": 1000, "next": "https://localhost/scalemgmt/v2/other"},
        },
        f"{LIST}&lastId=1000": {"filesets": [fileset("cf1", 1)]},
    }
    assert [one["filesetName"] for one in rest(pages).filesets()] == ["root", "cf1"]


def test_a_list_that_names_the_same_page_again_ends() -> None:
    page = {"filesets": [fileset("root", 0)], "paging": {"lastId": 1000}}
    last = {"filesets": [fileset("cf1", 1)], "paging": {"lastId": 1000}}
    assert len(rest({LIST: page, f"{LIST}&lastId=1000": last}).filesets()) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"filesets": []}, "lacks the fileset root"),
        ({"filesets": [fileset("cf1", 1)]}, "lacks the fileset root"),
        ({"filesets": [fileset("root", 0), fileset("root", 0)]}, "two rows of the fileset root"),
        ({"filesets": [fileset("root", 0), fileset("cf1", 1, id=None)]}, "id is ''"),
        ({"filesets": ["root"]}, "no list of filesets"),
        ({}, "no list of filesets"),
        (400, "400"),
    ],
    ids=str,
)
def test_a_list_that_is_not_whole_says_nothing_is_there_or_not(
    answer: Mapping[str, Any] | int, words: str
) -> None:
    with pytest.raises(Unavailable) as raised:
        rest({LIST: answer}).filesets()
    assert words in raised.value.message


def test_a_fileset_that_was_deleted_is_not_listed() -> None:
    deleted = fileset("(cf1)", 1, status="Deleted")
    assert len(rest({LIST: {"filesets": [fileset("root", 0), deleted]}}).filesets()) == 1


def test_a_name_is_absent_only_if_the_api_says_so() -> None:
    asked = "filesystems/fs1/filesets/cf1"
    assert rest({asked: 400}).absent("cf1") is True
    assert rest({asked: {"filesets": [fileset("cf1", 1)]}}).absent("cf1") is False
    with pytest.raises(Unavailable):
        rest({asked: 404}).absent("cf1")
