"""What a directory's answers, and its silence, mean."""

from __future__ import annotations

import pytest
from ldap3.core.exceptions import (
    LDAPInvalidValueError,
    LDAPSessionTerminatedByServerError,
    LDAPSocketOpenError,
    LDAPSocketReceiveError,
    LDAPSocketSendError,
)

from handlers.ldap.directory.answers import (
    Absent,
    Exists,
    Unwilling,
    fault_of,
    fault_of_read,
    fault_of_write,
)
from provisioner.contract import Fault, Permanent, Transient, Unavailable, Unknown


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (16, Absent),
        (19, Unwilling),
        (20, Exists),
        (32, Absent),
        (49, Unavailable),
        (50, Permanent),
        (51, Transient),
        (52, Unavailable),
        (53, Unwilling),
        (65, Permanent),
        (68, Exists),
        (99, Permanent),
    ],
)
def test_the_code_decides(code: int, kind: type[Fault]) -> None:
    fault = fault_of("dc1: add CN=x", {"result": code, "description": "d", "message": "00002071"})
    assert type(fault) is kind
    assert "dc1: add CN=x" in fault.message
    assert "00002071" in fault.message
    assert fault.advice


def test_success_is_no_fault() -> None:
    assert fault_of("dc1: add CN=x", {"result": 0}) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LDAPSocketOpenError("refused"), Unavailable),
        (LDAPSocketSendError("broken pipe"), Unavailable),
        (LDAPSocketReceiveError("timed out"), Unknown),
        (LDAPSessionTerminatedByServerError("closed"), Unknown),
        (ConnectionResetError("reset"), Unknown),
        (LDAPInvalidValueError("no"), Permanent),
    ],
)
def test_a_write_without_an_answer_is_unknown(error: Exception, kind: type[Fault]) -> None:
    assert type(fault_of_write("dc1: add CN=x", error)) is kind


def test_a_read_without_an_answer_is_unavailable() -> None:
    fault = fault_of_read("dc1: search", LDAPSocketReceiveError("timed out"))
    assert type(fault) is Unavailable
