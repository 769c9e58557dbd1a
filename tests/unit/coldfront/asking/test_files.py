"""What a row of ColdFront's outbox is in staging, held against the service's own reading."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from provisioner.coldfront.asking.files import files_of, put, too_large
from provisioner.request import crowds
from provisioner.request.request import parse_request
from provisioner.spool.submission import LIMIT

LIST = "cf-1-5d41402abc4b.users"
MANY = [f"somebody-with-a-long-name-{number:04}" for number in range(2200)]


def said(users: list[str], title: str = "x", action: str = "allocation.provision") -> str:
    project = {"code": "CF1", "title": title}
    part = action.partition(".")[0]
    about = {"id": "1", "resource": "a", "project": project} if part == "allocation" else project
    return json.dumps({"provisioner": 1, "action": action, part: {**about, "users": users}})


def test_a_request_that_fits_is_written_as_it_is() -> None:
    assert files_of(LIST, said(["a", "b"])).body == said(["a", "b"]).encode()
    assert files_of(LIST, said(["a", "b"])).users is None


@pytest.mark.parametrize("action", ["allocation.provision", "project.provision"])
def test_the_service_reads_the_same_users_out_of_the_two_files(action: str) -> None:
    files = files_of(LIST, said(MANY, action=action))
    assert len(files.body) <= LIMIT and files.users is not None
    request = parse_request(files.body)
    assert request.users_file is not None
    crowds.check(request.users_file, len(files.users), sha256(files.users).hexdigest())
    whole = crowds.with_users(request, crowds.read(files.users))
    assert whole.users == tuple(MANY)


def test_what_is_too_large_beside_its_users_is_told_as_that() -> None:
    assert not too_large(LIST, said(MANY))
    assert too_large(LIST, said(MANY, title="x" * LIMIT))
    assert too_large(LIST, json.dumps({"action": "user.provision", "user": {"n": "x" * LIMIT}}))


def test_the_list_of_a_process_that_was_killed_before_the_request_is_the_request_s(
    tmp_path: Path,
) -> None:
    put(tmp_path, "cf-1", LIST, said(MANY))
    (tmp_path / "cf-1.json").unlink()
    put(tmp_path, "cf-1", LIST, said(MANY))
    assert sorted(path.name for path in tmp_path.iterdir()) == [LIST, "cf-1.json"]
    assert (tmp_path / "cf-1.json").read_bytes() == files_of(LIST, said(MANY)).body
