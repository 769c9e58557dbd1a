"""Play sequences: `python -m tests.fault.people [FIRST [COUNT]]`."""

import sys

from tests.fault.people.play import WALK
from tests.fault.walks import asked

sys.exit(bool(WALK.report(asked(sys.argv[1:]))[1]))
