"""A lane's own thread: it ends when it is told to, at whatever moment that is."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.engine_site import Site


def test_a_stop_that_comes_as_a_wake_is_forgotten_ends_the_lane(tmp_path: Path) -> None:
    lane = Site(tmp_path).service.lanes["first"]

    class Late(threading.Event):
        def clear(self) -> None:
            lane.stop()
            super().clear()

    lane._woken = Late()
    thread = threading.Thread(target=lane.run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
