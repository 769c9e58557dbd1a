"""What a handler is able to do beside its contract."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.contract.abilities import Adapts, Remarks, able


class Plain:
    """Has neither ability."""


class Remarking:
    """Has one."""

    def remarks(self, *asked: object) -> object:
        """Remark nothing."""
        return {}


class Around:
    """A handler around another one, as a package of a centre's own may have it."""

    def __init__(self, handler: object) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


@pytest.mark.parametrize(
    ("handler", "remarks"), [(Plain(), False), (Remarking(), True), (Around(Remarking()), True)]
)
def test_an_ability_is_a_method_that_can_be_called(handler: object, remarks: bool) -> None:
    assert able(handler, Remarks) is remarks
    assert not able(handler, Adapts)
