"""Play sequences: `python -m tests.fault.model [FIRST [COUNT]]`."""

import sys

from tests.fault.model.many import report

first, count, *_ = [*map(int, sys.argv[1:]), *(0, 2000)[len(sys.argv[1:]) :]]
sys.exit(bool(report(range(first, first + count))[1]))
