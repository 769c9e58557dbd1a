"""A program of the site gets what people are told, as JSON, and may fail."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from provisioner.config import schema
from provisioner.objects.states import MessageState
from tests.support.engine_site import Site, user
from tests.support.mail_site import project, queue, served, tell, wrong

PROGRAM = """\
#!/bin/sh
cat >> {root}/told.jsonl
cat {root}/says >&2 2>/dev/null
exit $(cat {root}/code 2>/dev/null || echo 0)
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    program = tmp_path / "hook"
    program.write_text(PROGRAM.format(root=tmp_path))
    program.chmod(0o755)
    return Site(tmp_path, f"notify:\n  hook: {{program: [{program}], timeout: 5}}\n")


def told(site: Site) -> list[dict[str, Any]]:
    """Return what the program got."""
    path = site.root / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_it_gets_each_event_once_with_all_whom_it_concerns(site: Site) -> None:
    served(site, project(7, "ann", "bob"))
    [event] = told(site)
    assert (event["event"], event["service"], event["subject"]) == (
        "allocation_ready", "test", "allocation:7",
    )  # fmt: skip
    assert {(each["person"], each["role"]) for each in event["people"]} == {
        ("pi", "pi"), ("ann", "user"), ("bob", "user"),
    }  # fmt: skip
    assert event["allocation"]["quota"] == "5 TiB"
    assert event["request"]["file"] == "r0.yaml"


def test_a_failure_of_roots_own_request_is_told_to_the_program(site: Site) -> None:
    served(site, wrong(7))
    [event] = told(site)
    assert (event["event"], event["people"]) == ("request_failed", [])
    assert "there is no resource 'oen'" in event["failure"]["problem"]


def test_an_event_at_which_the_program_hangs_delays_no_other(site: Site) -> None:
    program = site.root / "hook"
    hangs = "#!/bin/sh\ntext=$(cat)\ncase $text in *user:ann*) exec sleep 60;; esac\n"
    program.write_text(f'{hangs}printf "%s\\n" "$text" >> {site.root}/told.jsonl\n')
    path = site.root / "provisioner.yaml"
    path.write_text(path.read_text().replace("timeout: 5", "timeout: 1"))
    site.config = schema.load(path)
    site.start()
    served(site, *(user(name, uid=2000) for name in ("ann", "bob", "eve")))
    assert [event["subject"] for event in told(site)] == ["user:bob", "user:eve"]
    [waiting] = queue(site, MessageState.WAITING)
    assert "did not end in 1 s" in str(waiting.error)


def test_a_slow_program_lets_others_have_their_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.notify.pace.ROUND", 0.0)
    for name in ("ann", "bob"):
        site.request(user(name, uid=2000), f"{name}.yaml")
    for number in (1, 2):
        tell(site)
        assert len(told(site)) == number


def test_an_exit_code_other_than_0_means_again_with_the_same_id(site: Site) -> None:
    (site.root / "code").write_text("3")
    (site.root / "says").write_text("chat is\x1b[31m away\n")
    served(site, user("ann", uid=2000))
    [waiting] = queue(site, MessageState.WAITING)
    assert str(waiting.error).startswith("exit code 3: chat is")
    assert str(waiting.error).isprintable()
    (site.root / "code").write_text("0")
    tell(site, time.time() + 60.0)
    first, second = told(site)
    assert first == second
    assert queue(site, MessageState.WAITING) == []


def test_a_program_that_is_missing_or_hangs_delays_no_request(tmp_path: Path) -> None:
    for number, argv in enumerate(("[/no/such/hook]", "[/bin/sleep, '60']")):
        root = tmp_path / str(number)
        root.mkdir()
        site = Site(root, f"notify:\n  hook: {{program: {argv}, timeout: 0.2}}\n")
        served(site, user("ann", uid=2000))
        assert site.states()["done"] == ["r0.yaml"]
        [waiting] = queue(site, MessageState.WAITING)
        assert "cannot be run" in str(waiting.error) or "did not end" in str(waiting.error)


def test_the_same_again_is_told_to_nobody(site: Site) -> None:
    served(site, project(7, "ann"))
    served(site, project(7, "ann"))
    assert len(told(site)) == 1
