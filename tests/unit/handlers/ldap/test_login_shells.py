"""Which login shells let people in, by table."""

from __future__ import annotations

import pytest

from handlers.ldap.accounts.claims import lets_in


@pytest.mark.parametrize(
    ("shell", "found"),
    [
        ("/bin/bash", True),
        ("/usr/bin/zsh", True),
        ("/sbin/nologin", False),
        ("/usr/sbin/nologin", False),
        ("/bin/false", False),
        ("/usr/bin/true", False),
    ],
)
def test_a_shell_that_ends_at_once_lets_nobody_in(shell: str, found: bool) -> None:
    assert lets_in({"shell": shell}) is found
