#!/usr/bin/env bash
# procrastinate 3.10.0: RetryStrategy(max_attempts=0) tries again for ever, and retry=0 never.
#
# `max_attempts` is the number of times that a job is tried again. 1 is once; 0 is taken as "none given",
# which is without end, and without a wait between. The short form of the same, `@app.task(retry=0)`, is no
# retry at all. So a setting that is lowered step by step, 2, 1, 0, ends in a job that never stops.
# Seen: of a job with a million attempts, the strategy of 0 still says "again, at once".
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install procrastinate==3.10.0
"$place/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

from procrastinate import RetryStrategy
from procrastinate.jobs import Job
from procrastinate.retry import get_retry_strategy


def again(strategy, attempts):
    job = Job(id=1, queue="q", lock=None, queueing_lock=None, task_name="t", attempts=attempts)
    return strategy.get_retry_decision(exception=ValueError(), job=job) is not None


print(f"procrastinate {version('procrastinate')}")
for most in (2, 1, 0):
    told = [attempts for attempts in (0, 1, 2, 1_000_000) if again(RetryStrategy(max_attempts=most), attempts)]
    print(f"max_attempts={most}: tried again after so many attempts: {told}")
    assert told == {2: [0, 1], 1: [0], 0: [0, 1, 2, 1_000_000]}[most]
print("retry=0:", get_retry_strategy(0), " retry=1:", get_retry_strategy(1))
assert get_retry_strategy(0) is None
assert get_retry_strategy(1) == RetryStrategy(max_attempts=1)
PYTHON
