"""What a server's answer becomes: an attribute without a value is as one that is not there."""

from __future__ import annotations

import pytest

from handlers.ldap.directory.client import _entry


@pytest.mark.parametrize("values", [None, []])
def test_an_attribute_that_comes_without_a_value_has_none(values: object) -> None:
    entry = _entry({"dn": "CN=cf,DC=test", "raw_attributes": {"member": values}})
    assert entry.texts("member") == ()
    assert entry.ranged("member") == ((), None)
