"""Connecting to real servers: certificates, passwords, servers that go away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.settings import DirectorySettings
from provisioner.contract import Fault, Unavailable, Unknown
from tests.support.ad_backends import Backend, backends, make

pytestmark = pytest.mark.lab


@pytest.fixture(params=backends("ad")[1:])
def ad(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


@pytest.fixture(params=backends("adlds")[1:])
def lds(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Backend]:
    yield from make(request.param, tmp_path)


def connected(backend: Backend, **changed: object) -> Directory:
    given = {**backend.connection, "base": backend.base, **changed}
    return Directory(DirectorySettings.model_validate(given), backend.site("x").secret)


def refusal(directory: Directory) -> Fault:
    with pytest.raises(Unavailable) as raised:
        directory.read(directory.settings.base, ["objectClass"])
    return raised.value


def test_a_certificate_for_another_name_is_refused(ad: Backend) -> None:
    fault = refusal(connected(ad, server_name="dc2.campus.test"))
    assert "certificate" in fault.advice


def test_a_certificate_of_an_unknown_authority_is_refused(ad: Backend) -> None:
    assert "certificate" in refusal(connected(ad, ca_file=None)).advice


def test_a_wrong_password_says_what_to_check(ad: Backend) -> None:
    directory = connected(ad, password="wrong")
    directory._secret = lambda _: "wrong"
    assert "bind_dn" in refusal(directory).advice


def test_tls_may_be_started_on_the_plain_port(ad: Backend) -> None:
    host = urlsplit(ad.connection["servers"][0]).hostname
    directory = connected(ad, servers=[f"ldap://{host}:389"], tls="starttls")
    assert directory.read(ad.base, ["objectClass"]) is not None


def test_the_first_server_that_answers_is_kept(ad: Backend) -> None:
    good = ad.connection["servers"][0]
    directory = connected(ad, servers=["ldaps://127.0.0.1:1", good])
    assert directory.read(ad.base, ["objectClass"]) is not None
    assert directory.server == good


class Wire:
    """Carries bytes between us and a server, and can be cut: silent, or closed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.silent = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections, as a server that restarts."""
        for one in self._open:
            one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(*pair, near), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, near: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not (self.silent and sink is near):
                    sink.sendall(data)
        except OSError:
            return


@pytest.fixture
def wire(lds: Backend) -> Wire:
    parts = urlsplit(lds.connection["servers"][0])
    return Wire(str(parts.hostname), parts.port or 389)


def through(lds: Backend, wire: Wire) -> Directory:
    return connected(lds, servers=[f"ldaps://127.0.0.1:{wire.port}"], timeout=1)


def test_a_write_without_an_answer_is_unknown_and_may_have_happened(
    lds: Backend, wire: Wire
) -> None:
    directory = through(lds, wire)
    assert directory.read(lds.base, ["ou"]) is not None
    wire.silent = True
    dn = f"OU=late,{lds.base}"
    with pytest.raises(Unknown):
        directory.add(dn, {"objectClass": ["top", "organizationalUnit"]})
    wire.silent = False
    assert directory.read(dn, ["ou"]) is not None


def test_a_read_without_an_answer_is_unavailable(lds: Backend, wire: Wire) -> None:
    directory = through(lds, wire)
    directory.read(lds.base, ["ou"])
    wire.silent = True
    refusal(directory)


def test_a_connection_that_the_server_closed_is_made_anew(lds: Backend, wire: Wire) -> None:
    directory = through(lds, wire)
    directory.read(lds.base, ["ou"])
    wire.close()
    assert directory.read(lds.base, ["ou"]) is not None


def test_a_missing_ca_file_is_said_to_be_missing(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    given = {"servers": ["ldaps://127.0.0.1:1"], "base": "DC=campus,DC=test", "ca_file": missing}
    settings = DirectorySettings.model_validate(given)
    findings = check_directory(Directory(settings, lambda name: name), "ad", {})
    assert [f.message for f in findings] == [f"ca_file {missing} is missing"]
