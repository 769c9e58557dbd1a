"""Uses: how much a step's objects use of their quotas, for its writer's receipt.

Promises: asks no backend: a figure is what the step read of its objects when it was done, or what
the last look at quotas read since. Each says when that was. Leaves out: the quota itself, which the
request says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from provisioner.contract import Fault, Json, Key, State
from provisioner.journal.records.step_rows import StepRecord
from provisioner.outcome import results

Amounts = Mapping[str, int]
"""What is used: `space` in bytes, `files`."""


@dataclass(frozen=True, slots=True)
class Uses:
    """used_of: what a state that an instance read says of use; newest: what was read last by
    schedule, with the time."""

    used_of: Callable[[str, State], Amounts] = lambda instance, state: {}
    newest: Callable[[Collection[Key]], Mapping[Key, tuple[float, Amounts]]] = lambda keys: {}

    def of(self, steps: Sequence[StepRecord]) -> Mapping[str, Mapping[str, Json]]:
        """Return the use of what steps made for all its users, by step."""
        read: dict[str, tuple[Key, float, Amounts]] = {}
        for step in steps:
            for part in step.objects:
                if part.item or part.read_back is None or step.withdraws or step.ended is None:
                    continue
                amounts = self._used(step.instance, part.read_back)
                if amounts:
                    read[step.name] = part.key, step.ended, amounts
        newest = self.newest([key for key, _, _ in read.values()]) if read else {}
        uses: dict[str, Mapping[str, Json]] = {}
        for name, (key, ended, amounts) in read.items():
            at, now = max((ended, amounts), newest.get(key, (0.0, {})), key=lambda one: one[0])
            uses[name] = {**now, "at": results.moment(at)}
        return uses

    def _used(self, instance: str, state: State) -> Amounts:
        try:
            return self.used_of(instance, state)
        except Fault:
            return {}  # a receipt says what became of the request, whatever a handler says


NO_USES = Uses()
"""Says nothing of any use."""
