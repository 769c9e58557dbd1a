"""Jobs of the GUI: how long one is asked about, how it ends, and which node is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.gpfs.rest import gui
from handlers.gpfs.rest.gui import Answer, Gui
from handlers.gpfs.rest.jobs import Jobs
from provisioner.contract import (
    ConfigError,
    Fault,
    Json,
    Permanent,
    Transient,
    Unavailable,
    Unknown,
)

RUNNING: dict[str, Any] = {"status": "RUNNING"}
DONE: dict[str, Any] = {"status": "COMPLETED", "result": {"stdout": ["ok"], "exitCode": 0}}


class Node(Gui):
    """A GUI node that gives prepared answers about its one job. answers: the last one repeats."""

    def __init__(self, *answers: Mapping[str, Any] | Fault | int) -> None:
        super().__init__(["https://a", "https://b"], lambda: ("u", "p"), None)
        self.answers = list(answers)
        self.asked: list[str] = []
        self.writes = 0

    def write(self, method: str, path: str, body: Mapping[str, Json] | None) -> Answer:
        self.writes += 1
        jobs = [{"jobId": 3000000000000 + self.writes, **DONE}]
        return Answer("https://b", f"{method} {path}", 202, {"jobs": jobs})

    def ask(self, node: str, path: str) -> Answer:
        self.asked.append(f"{node} {path}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Fault):
            raise answer
        if isinstance(answer, int):
            return Answer(node, path, answer, {"status": {"message": "Invalid value in 'jobId'"}})
        return Answer(node, path, 200, {"jobs": [answer]})


class Time:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def jobs(node: Node, time: Time) -> Jobs:
    return Jobs(node, 60, wait=time.wait, clock=lambda: time.now)


def test_a_job_is_asked_about_after_growing_pauses_until_its_end(time: Time) -> None:
    node = Node(RUNNING, RUNNING, RUNNING, RUNNING, DONE)
    jobs(node, time).write("POST", "quotas")
    assert time.waits == [2, 4, 8, 16, 16]


def test_the_answer_to_a_write_is_not_its_end(time: Time) -> None:
    node = Node({"status": "FAILED", "result": {"stderr": ["EFSSG0072C not found"]}})
    with pytest.raises(Permanent, match="EFSSG0072C"):
        jobs(node, time).write("POST", "quotas")
    assert node.asked == ["https://b jobs/3000000000001?fields=:all:"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"status": "FAILED", "result": {"stderr": ["EFSSP1102C x"]}}, Permanent, "EFSSP1102C"),
        ({"status": "FAILED", "result": {"stderr": ["The x lock is busy."]}}, Transient, "busy"),
        ({**DONE, "result": {"stderr": ["odd"], "exitCode": 6}}, Permanent, "odd"),
        ({"status": "CANCELLED"}, Transient, "CANCELLED"),
        ({"status": "UNKNOWN"}, Unknown, "UNKNOWN"),
        (400, Unknown, "does not know it any more"),
        (RUNNING, Unknown, "no end in 60 s"),
        (Unavailable("away"), Unknown, "away"),
    ],
    ids=str,
)  # fmt: skip
def test_each_end_of_a_job_has_its_fault(
    time: Time, answer: Any, kind: type[Fault], words: str
) -> None:
    with pytest.raises(kind) as raised:
        jobs(Node(answer), time).write("POST", "quotas")
    assert words in raised.value.message


def test_a_node_that_is_away_for_a_moment_still_tells_the_end(time: Time) -> None:
    jobs(Node(Unavailable("restarts"), RUNNING, DONE), time).write("POST", "quotas")


def test_no_further_write_queues_behind_a_job_without_an_end(time: Time) -> None:
    node = Node(RUNNING)
    held = jobs(node, time)
    with pytest.raises(Unknown):
        held.write("POST", "quotas")
    with pytest.raises(Unavailable, match="still running") as raised:
        held.write("POST", "quotas")
    assert node.writes == 1
    assert "DELETE https://b/scalemgmt/v2/jobs/3000000000001" in raised.value.advice
    node.answers = [DONE]
    held.write("POST", "quotas")
    assert node.writes == 2


@pytest.mark.parametrize(
    ("words", "kind"),
    [("EFSSG0264C no such path", None), ("x does not exist", None), ("odd", Unavailable)],
)
def test_a_job_that_reads_finds_nothing_only_if_it_says_so(
    time: Time, words: str, kind: type[Fault] | None
) -> None:
    node = Node({"status": "FAILED", "result": {"stderr": [words]}})
    node.read = lambda path: node.write("GET", path, None)  # type: ignore[method-assign]
    read: Callable[[], list[str] | None] = lambda: jobs(node, time).read("directory/x")  # noqa: E731
    if kind is None:
        assert read() is None
        return
    with pytest.raises(kind):
        read()


# Which node is asked.


class Nodes(Gui):
    """Two nodes. answers: by node, a status, or why there is none."""

    def __init__(self, **answers: int | str) -> None:
        super().__init__(["https://a", "https://b"], lambda: ("u", "p"), None)
        self.answers = answers
        self.sent: list[str] = []

    def _send(self, node: str, method: str, path: str, body: Mapping[str, Json] | None) -> Answer:
        name = node[-1]
        self.sent.append(name)
        answer = self.answers[name]
        if isinstance(answer, str):
            raise {"refused": gui.NotSentError, "lost": gui.NoAnswerError}[answer](answer)
        return Answer(node, f"{method} {path}", answer, {})


@pytest.mark.parametrize(("first", "asked"), [
    (200, "a"), (400, "a"), (404, "a"), ("refused", "ab"), ("lost", "ab"), (503, "ab"), (500, "ab"),
])  # fmt: skip
def test_a_question_goes_on_to_the_next_node_if_one_is_away(first: int | str, asked: str) -> None:
    nodes = Nodes(a=first, b=200)
    nodes.read("info")
    assert "".join(nodes.sent) == asked
    nodes.read("info")
    assert nodes.sent[len(asked) :] == [asked[-1]], "who answered is asked first from then on"


@pytest.mark.parametrize(("first", "asked"), [(400, "a"), ("refused", "ab"), (503, "ab")])
def test_a_write_goes_on_if_the_first_node_surely_did_not_take_it(
    first: int | str, asked: str
) -> None:
    nodes = Nodes(a=first, b=202)
    nodes.write("POST", "quotas", {})
    assert "".join(nodes.sent) == asked


@pytest.mark.parametrize("first", ["lost", 500])
def test_a_write_that_a_node_may_have_taken_goes_to_no_other(first: int | str) -> None:
    nodes = Nodes(a=first, b=202)
    with pytest.raises(Unknown):
        nodes.write("POST", "quotas", {})
    assert nodes.sent == ["a"]


@pytest.mark.parametrize(("code", "kind", "advice"), [
    (401, Unavailable, "secrets that `user` and `password` name"), (403, Permanent, "docs/gpfs.md"),
])  # fmt: skip
def test_a_user_who_may_not_write_is_told_at_once(
    code: int, kind: type[Fault], advice: str
) -> None:
    nodes = Nodes(a=code, b=202)
    with pytest.raises(kind) as raised:
        nodes.write("POST", "quotas", {})
    assert nodes.sent == ["a"]
    assert advice in raised.value.advice


def test_all_nodes_that_are_away_are_named() -> None:
    with pytest.raises(Unavailable, match="refused; lost"):
        Nodes(a="refused", b="lost").read("info")


def test_a_file_of_authorities_that_is_not_there_sends_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    with pytest.raises(Unavailable, match=r"gone\.pem") as raised:
        Gui(["https://127.0.0.1:1"], lambda: ("u", "p"), gone).read("info")
    assert "ca_file" in raised.value.advice


def test_a_secret_that_is_not_there_is_named_and_nothing_is_sent() -> None:
    def login() -> tuple[str, str]:
        raise ConfigError("there is no secret gui-user", advice="set its file under `secrets`")

    with pytest.raises(Unavailable, match="there is no secret gui-user") as raised:
        Gui(["https://127.0.0.1:1"], login, None).read("info")
    assert "`secrets`" in raised.value.advice
