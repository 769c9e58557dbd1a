"""The request parser under mutated samples and noise; `make fuzz` takes a million inputs."""

from __future__ import annotations

from tests.fault import fuzz

INPUTS = 10_000


def test_no_input_crashes_hangs_or_fills_memory() -> None:
    counts, findings = fuzz.run(INPUTS, seed=2)
    assert findings == []
    assert counts["parsed"] + counts["refused"] == INPUTS
    assert counts["parsed"] > INPUTS // 100, "the mutations leave too little whole"


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second = fuzz.inputs(7), fuzz.inputs(7)
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)]
