"""`provisioner edit`: a failed request is corrected in an editor, and sent as a new one."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.cli_site import Desk, Done, storage, user

WRONG = storage().replace("hpc-storage", "hpc-storge")
RIGHT = "text.replace('hpc-storge', 'hpc-storage')"
NO_CODE = "text.replace('hpc-storge', 'hpc-storage').replace('code: CF1, ', '')"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Make one sandbox for all: each test has its own requests."""
    desk = Desk(tmp_path_factory.mktemp("edit") / "box")
    rules = '[{who: [uid-4711], actions: ["*"], others: true}]'
    desk.config.write_text(f"{desk.config.read_text()}policy: {{rules: {rules}}}\n")
    desk.serve(user("jdoe"))
    return desk


@pytest.fixture
def desk(box: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Give the sandbox, and no editor; what a test left in staging is taken away."""
    drafts = box.root.parent / "drafts"
    drafts.mkdir()
    monkeypatch.setenv("TMPDIR", str(drafts))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    yield box
    shutil.rmtree(drafts)
    (box.root / "seen").unlink(missing_ok=True)
    for file in (box.spool / "staging").iterdir():
        file.unlink()


def editor(desk: Desk, *texts: str, code: int = 0) -> str:
    """Make an editor that writes what an expression makes of `text`; one for each time it opens."""
    script = desk.root / "an editor.py"
    script.write_text(f"""
import pathlib, sys
assert sys.argv[1] == "--quiet", sys.argv
file, seen = pathlib.Path(sys.argv[2]), pathlib.Path({str(desk.root)!r}, "seen")
text = file.read_text()
with seen.open("a") as log:
    log.write(text + "=====\\n")
number = seen.read_text().count("=====") - 1
texts = {texts!r}
file.write_text(eval(texts[min(number, len(texts) - 1)]))
sys.exit({code})
""")
    return f"{sys.executable} '{script}' --quiet"


def seen(desk: Desk) -> list[str]:
    """Return what the editor was given, each time that it was opened."""
    log = desk.root / "seen"
    return log.read_text().split("=====\n")[:-1] if log.exists() else []


def edit(desk: Desk, name: str, *words: str, code: int = 0, answers: bytes = b"") -> Done:
    return desk("edit", name, *words, code=code, stdin=answers)


def staged(desk: Desk) -> list[str]:
    return [file.read_text() for file in (desk.spool / "staging").iterdir()]


def drafts(desk: Desk) -> list[Path]:
    return list((desk.root.parent / "drafts").rglob("*.*"))


def test_what_is_corrected_is_sent_and_puts_the_old_one_right(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    assert "dropped as " in edit(desk, failed[-6:].lower()).out
    [sent] = staged(desk)
    assert yaml.safe_load(sent)["replaces"] == failed
    desk.drain()
    assert desk.show(failed)["result"]["fixed_by"] > failed
    assert failed not in desk("failed", "--ids").out


def test_the_text_stands_as_it_was_above_what_was_wrong_with_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("VISUAL", editor(desk, RIGHT))
    monkeypatch.setenv("EDITOR", "/nowhere/at-all")
    edit(desk, failed)
    [given] = seen(desk)
    assert given.startswith(WRONG)
    assert "#: Line 5, allocation.resource: there is no resource 'hpc-storge'" in given
    assert "#:" not in staged(desk)[0]
    assert drafts(desk) == []


def test_json_stays_json(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = desk.serve(
        desk.file("u.json", '{"provisioner": 1, "action": "user.provision", "user": {"name": "B"}}')
    )
    monkeypatch.setenv("EDITOR", editor(desk, """text.replace('"B"', '"bert"')"""))
    edit(desk, failed)
    [sent] = staged(desk)
    assert sent.startswith('{"replaces": "')
    assert yaml.safe_load(sent)["user"] == {"name": "bert"}


def test_a_second_correction_names_the_request_that_it_corrects(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.serve(WRONG)
    second = desk.serve(WRONG + f"replaces: {first}\n")
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    edit(desk, second)
    assert yaml.safe_load(staged(desk)[0])["replaces"] == second


def test_mistakes_are_told_and_the_editor_opens_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv(
        "EDITOR", editor(desk, NO_CODE, "text.replace('{title', '{code: CF1, title')")
    )
    done = edit(desk, failed, answers=b"y\n")
    assert "line 6: allocation.project.code: missing" in done.err
    assert (len(seen(desk)), len(staged(desk))) == (2, 1)


def test_who_leaves_it_wrong_sends_nothing_and_keeps_what_they_wrote(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("EDITOR", editor(desk, NO_CODE))
    done = edit(desk, failed, code=3, answers=b"n\n")
    [kept] = drafts(desk)
    assert f"nothing was sent; what you wrote is in {kept}" in done.err
    assert ("hpc-storage" in kept.read_text(), staged(desk)) == (True, [])


def test_what_is_left_unchanged_is_not_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("EDITOR", editor(desk, "text"))
    assert edit(desk, failed).out == "nothing was changed, and nothing is sent\n"
    assert (staged(desk), drafts(desk)) == ([], [])


def test_an_editor_that_fails_sends_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT, code=7))
    assert "ended with 7" in edit(desk, failed, code=1).err
    assert staged(desk) == []


@pytest.mark.parametrize(
    ("named", "code", "said"),
    [
        ("", 2, "export EDITOR=nano"),
        ("vi 'unclosed", 2, "$EDITOR cannot be read: No closing quotation"),
        ("/nowhere/at-all", 1, "/nowhere/at-all: No such file or directory"),
        ("touch $(id)", 1, "touch '$(id)' ended with 1"),
    ],
)
def test_an_editor_that_cannot_be_run_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, named: str, code: int, said: str
) -> None:
    failed = desk.serve(WRONG)
    monkeypatch.setenv("EDITOR", named.replace("touch", "false"))
    assert said.replace("touch", "false") in edit(desk, failed, code=code).err
    assert staged(desk) == []


def test_a_request_that_did_not_fail_is_refused_before_anything_is_opened(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = desk.serve(user("asmith"))
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    assert (
        f"{done} is done, and only what failed or was refused is edited"
        in edit(desk, done, code=3).err
    )
    assert seen(desk) == []


def test_one_that_was_put_right_is_not_edited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = desk.serve(WRONG)
    by = desk.serve(storage().replace("provisioner: 1", f"provisioner: 1\nreplaces: {failed}"))
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    assert f"{by} put it right" in edit(desk, failed, code=3).err
    assert seen(desk) == []


def test_check_says_that_a_request_replaces_none_that_failed(desk: Desk) -> None:
    done = desk.serve(user("asmith"))
    path = desk.file("new.yaml", user("asmith") + f"replaces: {done}\n")
    assert f"replaces: {done} is done" in desk("check", path, code=3).out


def test_whose_request_it_was_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.spool / "staging/theirs.yaml"
    path.write_text(WRONG)
    path.chmod(0o600)
    os.chown(path, 4711, -1)
    desk.drain()
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    assert (
        "was asked for by uid-4711, who may ask for the same again" in edit(desk, "theirs.yaml").err
    )


def test_the_list_of_users_that_it_names_is_taken_from_the_current_directory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"jdoe\n"
    digest = hashlib.sha256(body).hexdigest()
    named = f"users_file: {{file: course.users, size: {len(body)}, sha256: {digest}}}"
    desk.file("course.users", body.decode())
    failed = desk.serve(desk.file("course.yaml", WRONG.replace("users: [jdoe]", named)))
    monkeypatch.setenv("EDITOR", editor(desk, RIGHT))
    monkeypatch.chdir(desk.root.parent)
    assert "course.users: No such file" in edit(desk, failed, code=3, answers=b"n\n").err
    monkeypatch.chdir(desk.root)
    edit(desk, failed)
    assert (desk.spool / "staging/course.users").read_bytes() == body
