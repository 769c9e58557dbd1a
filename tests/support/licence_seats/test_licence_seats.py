"""A seat keeps every promise of a handler."""

from __future__ import annotations

import json
from pathlib import Path

from licence_seats import build

from provisioner.contract import Handler
from provisioner.testing import HandlerContract, site


class TestSeats(HandlerContract):
    params = {"name": "jdoe"}
    other_params = {"name": "jdoe", "product": "viewer"}
    more_params = [{"name": "asmith"}, {"name": "bwong"}]
    bad_params = [("product", {"name": "jdoe", "product": "2"}), ("name", {})]

    def prepare(self, directory: Path) -> None:
        self.seats = directory

    def handler(self) -> Handler:
        return build(site(), {"directory": self.seats})

    def away(self) -> Handler:
        return build(site(), {"directory": self.seats / "away"})

    def disturb(self) -> None:
        file = self.seats / "jdoe.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "product": "player"}))

    def disown(self) -> None:
        file = self.seats / "jdoe.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "service": "hpc2"}))
