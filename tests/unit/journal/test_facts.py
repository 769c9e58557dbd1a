"""Facts: what the table of marks may have."""

from __future__ import annotations

from provisioner.journal import facts


def test_every_name_is_known_so_that_none_is_taken_for_damage() -> None:
    said = {value for name, value in vars(facts).items() if name.isupper() and name != "NAMES"}
    assert said - {facts.CONFIGURED} == facts.NAMES
