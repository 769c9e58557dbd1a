"""Questions to slurmdbd at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import build
from handlers.slurm.together import together
from provisioner.contract import Completed, Unavailable
from provisioner.system import process
from tests.support import slurm_sites


@pytest.mark.parametrize("questions", [1, 2, 3])
def test_each_question_waits_for_its_own_answer_and_answers_come_in_the_order_of_questions(
    questions: int,
) -> None:
    """Each gives its answer only after all were asked."""
    all_asked = threading.Barrier(questions, timeout=10)

    def ask(number: int) -> int:
        all_asked.wait()
        return number

    assert together([partial(ask, number) for number in range(questions)]) == list(range(questions))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_fault_of_one_question_is_the_fault_of_all(which: int) -> None:
    def ask(number: int) -> int:
        if number == which:
            raise Unavailable("slurmdbd is away")
        return number

    with pytest.raises(Unavailable, match="slurmdbd is away"):
        together([partial(ask, number) for number in range(3)])


def test_a_look_at_a_user_asks_for_both_lists_at_the_same_time(tmp_path: Path) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    both = threading.Barrier(2, timeout=10)

    def run(argv: Sequence[str], **more: Any) -> Completed:
        if "show" in argv:
            both.wait()
        return process.run(argv, **more)

    handler = build(replace(slurm_sites.site(), run=run), cluster.settings)
    [state] = handler.observe(["slurm-a/assoc/cf1/one"]).values()
    assert isinstance(state, dict)
    assert not state["present"]
