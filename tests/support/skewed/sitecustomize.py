"""The time of day of a Python program, wrong by AHEAD seconds.

Promises: whoever has this directory in PYTHONPATH, and AHEAD in the environment, reads the time of
day so; other clocks are as they are. Leaves out: what is read by `datetime.now`, and the kernel's
own times. (libfaketime, as a preloaded library, has all, but fails the sleeps of Python's threads.)
"""

import os
import time

_AHEAD = int(os.environ["AHEAD"])
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _AHEAD
time.time_ns = lambda: _time_ns() + _AHEAD * 1_000_000_000
