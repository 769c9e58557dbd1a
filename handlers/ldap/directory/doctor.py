"""What `provisioner doctor` checks in a directory: which product it is, may we bind, may we write.

Promises: reads only, and never raises. Leaves out: rights that no directory reports.
"""

from __future__ import annotations

from collections.abc import Mapping

from handlers.ldap.directory.authority import lacking
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.product import product
from handlers.ldap.directory.settings import DirectorySettings
from provisioner.contract import Fault, Finding, Level

_CLASSES = "allowedChildClassesEffective"
"""The classes that the bound account may create below an entry (MS-ADTS 3.1.1.4.5.22)."""


def check_directory(
    directory: Directory, instance: str, places: Mapping[str, tuple[str, str]]
) -> list[Finding]:
    """Return findings about servers, bind, and places. places: setting -> (its DN, class made
    there)."""
    base = directory.settings.base
    authority = _authority(instance, directory.settings)
    try:
        servers = directory.probe()
        findings = [*authority, *(_server(instance, url, fault) for url, fault in servers.items())]
        if all(servers.values()):
            return findings
        findings += product(directory, instance)
        entries = directory.search(base, "(objectClass=*)", ["objectClass"], "BASE")
    except Fault as fault:
        return [*authority, Finding(Level.ERROR, instance, fault.message, fault.advice)]
    except Exception as error:  # a secret that cannot be read, for one
        said = f"{type(error).__name__}: {error}"
        return [*authority, Finding(Level.ERROR, instance, said)]
    if not entries:
        advice = "check base and bind_dn"
        return [
            *findings,
            Finding(Level.ERROR, instance, f"cannot read anything at {base}", advice),
        ]
    for setting, (dn, made) in places.items():
        findings.append(_check_place(directory, instance, setting, dn, made))
    return findings


def _authority(instance: str, settings: DirectorySettings) -> list[Finding]:
    ca_file = settings.ca_file
    if ca_file is None or settings.lenient_certificates:
        return []
    try:
        lacks = lacking(ca_file)
    except (OSError, ValueError):  # connecting says what is wrong with the file
        return []
    return [
        Finding(
            Level.WARNING,
            instance,
            f"ca_file {ca_file}: {problem}: Python 3.13 and later refuse it",
            "issue a new certificate for the authority, with "
            "keyUsage=critical,keyCertSign,cRLSign, basicConstraints=critical,CA:TRUE and "
            f"subjectKeyIdentifier=hash; until then set {instance}: lenient_certificates: true",
        )
        for problem in lacks
    ]


def _server(instance: str, url: str, fault: Fault | None) -> Finding:
    if fault is None:
        return Finding(Level.OK, instance, f"bound to {url}")
    return Finding(Level.ERROR, instance, fault.message, fault.advice)


def _check_place(directory: Directory, instance: str, setting: str, dn: str, made: str) -> Finding:
    try:
        entry = directory.read(dn, [_CLASSES])
    except Fault as fault:
        return Finding(Level.ERROR, instance, f"{setting}: {fault.message}", fault.advice)
    if entry is None:
        return Finding(
            Level.ERROR,
            instance,
            f"{setting}: {dn} does not exist",
            "create it, or fix the setting",
        )
    allowed = {name.lower() for name in entry.texts(_CLASSES)}
    if allowed and made.lower() not in allowed:
        return Finding(
            Level.ERROR,
            instance,
            f"{setting}: the service may not create a {made} in {dn}",
            "delegate the right to create it to the service's account",
        )
    return Finding(Level.OK, instance, f"{setting}: {dn} exists")
