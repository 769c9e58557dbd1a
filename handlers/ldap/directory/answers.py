"""What a directory's answers mean: result codes as the contract's faults.

Promises: only the code decides (RFC 4511 4.1.9, MS-ADTS 3.1.1.3.1.9); the message passes on the
server's words. Leaves out: how a handler reacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldap3.core.exceptions import (
    LDAPBindError,
    LDAPCertificateError,
    LDAPCommunicationError,
    LDAPException,
    LDAPResponseTimeoutError,
    LDAPSocketOpenError,
    LDAPSocketSendError,
    LDAPStartTLSError,
)

from provisioner.contract import Fault, Permanent, Transient, Unavailable, Unknown

SUCCESS = 0
NO_SUCH_OBJECT = 32
SIZE_LIMIT = 4


class Exists(Transient):
    """The entry or the value already exists; the next reading decides."""


class Absent(Transient):
    """The entry or the value does not exist; the next reading decides."""


class Unwilling(Permanent):
    """The server's rules forbid it; Active Directory answers so to most things that it rejects."""


_LOOK = "the service reads the entry again; if this error returns, check the entry"
_SERVER = "check the directory server's log"
_BIND = "check bind_dn, the secret that `password` names, and `tls`"

_MEANING: Mapping[int, tuple[type[Fault], str]] = {
    1: (Transient, _SERVER),  # operationsError
    3: (Transient, "the server took too long: add an index for the search, or raise its limit"),
    SIZE_LIMIT: (Permanent, "raise the server's size limit for the service's account"),
    8: (Unavailable, _BIND),  # strongerAuthRequired
    10: (Permanent, "a referral: name in `servers` a server that may write here (not an RODC)"),
    11: (Transient, "an administrative limit of the server: raise it, or make batches smaller"),
    13: (Unavailable, _BIND),  # confidentialityRequired
    16: (Absent, _LOOK),  # noSuchAttribute
    19: (Unwilling, "a constraint of the directory: read its message"),
    20: (Exists, _LOOK),  # attributeOrValueExists
    NO_SUCH_OBJECT: (Absent, "check that the container or base exists and is readable"),
    48: (Unavailable, _BIND),  # inappropriateAuthentication
    49: (Unavailable, _BIND),  # invalidCredentials
    50: (Permanent, "delegate this right to the service's account in the directory"),
    51: (Transient, _SERVER),  # busy
    52: (Unavailable, _SERVER),  # unavailable
    53: (Unwilling, "a rule of the directory (password policy, protected entry): read its message"),
    65: (
        Permanent,
        "the directory's schema lacks an attribute or class: extend the schema, or leave it out",
    ),
    68: (Exists, _LOOK),  # entryAlreadyExists
    80: (Transient, _SERVER),  # other
}


def fault_of(where: str, result: Mapping[str, Any]) -> Fault | None:
    """Return the fault for a result; None for success. where: server, verb and DN."""
    code = int(result.get("result", 80))
    if code == SUCCESS:
        return None
    kind, advice = _MEANING.get(code, (Permanent, "read the directory's message"))
    said = str(result.get("message") or "").strip("\x00 \n") or "no message"
    return kind(f"{where}: {code} {result.get('description', '')}: {said}", advice=advice)


def fault_of_read(where: str, error: Exception) -> Fault:
    """Return the fault for an error while connecting or reading."""
    advice, said = "", str(error)
    if any(lack in said for lack in _INCOMPLETE):
        advice = (
            "Python 3.13 and later refuse this certificate: have it issued again with what it "
            "lacks, or set lenient_certificates: true for this directory"
        )
    elif isinstance(error, (LDAPCertificateError, LDAPStartTLSError)) or "certificate" in str(
        error
    ):
        advice = "check `ca_file`, `server_name` and the server's certificate"
    elif isinstance(error, LDAPBindError):
        advice = _BIND
    return Unavailable(f"{where}: {_words(error)}", advice=advice)


def fault_of_write(where: str, error: Exception) -> Fault:
    """Return the fault for an error while writing: without an answer the write may have
    happened."""
    if isinstance(error, (LDAPSocketOpenError, LDAPSocketSendError)):
        return Unavailable(f"{where}: not sent: {_words(error)}")
    if isinstance(error, (LDAPCommunicationError, LDAPResponseTimeoutError, OSError)):
        return Unknown(
            f"{where}: no answer: {_words(error)}",
            advice="the service reads it again until it is known",
        )
    return Permanent(
        f"{where}: {_words(error)}", advice="the directory does not take this value; change it"
    )


_INCOMPLETE = (
    "CA cert does not include key usage extension",
    "Basic Constraints of CA cert not marked critical",
    "Missing Authority Key Identifier",
    "Missing Subject Key Identifier",
)
"""What OpenSSL says only under VERIFY_X509_STRICT (X509_verify_cert_error_string(3))."""

FAILURES = (LDAPException, OSError)
"""Exceptions that ldap3 raises or lets through."""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
