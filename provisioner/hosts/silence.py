"""Silence: whose jobs show no sign of life, by the clock of the one who looks.

Promises: a host that dies is missed after some seconds, even if its last sign lies in the future of
the server's clock, as after a failover to a server whose clock is behind. Leaves out: asking for
signs (`jobs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provisioner.hosts.lease import steady


class Silence:
    """What signs jobs have shown, and since when."""

    def __init__(self, seconds: float, clock: Callable[[], float] = steady) -> None:
        """seconds: after which a job without a new sign is silent."""
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str, dict[tuple[int, str], float]] = {}

    def of(self, lane: str, signs: Mapping[int, str]) -> set[int]:
        """Return those jobs of a lane that are silent. signs: the last one of each, as of now."""
        before, now = self._since.get(lane, {}), self._clock()
        since = self._since[lane] = {one: before.get(one, now) for one in signs.items()}
        return {job for (job, _), at in since.items() if now - at >= self._seconds}
