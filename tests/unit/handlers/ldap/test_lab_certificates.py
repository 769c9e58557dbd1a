"""The lab's authority, and a site's own: what Python 3.13 and later ask, made and looked for."""

from __future__ import annotations

import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.lab.directories import DC, certify
from deploy.lab.place import Lab
from handlers.ldap.directory.authority import lacking
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.doctor import check_directory
from handlers.ldap.directory.settings import DirectorySettings

NO_KEY_USAGE = "CA cert does not include key usage extension"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "tls").mkdir()
    return Lab(tmp_path, 7, {})


def homemade(tls: Path) -> Path:
    """Make an authority as many a page says, and earlier labs did."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "30", "-subj", "/CN=homemade", "-keyout", tls / "ca.key",
         "-out", tls / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return tls / "ca.pem"


def signed_by_homemade(tls: Path) -> Path:
    """Have a homemade authority sign the server's certificate."""
    path = homemade(tls)
    subprocess.run(
        ["openssl", "x509", "-req", "-in", tls / "server.csr", "-CA", path, "-CAkey",
         tls / "ca.key", "-extfile", tls / "server.ext", "-out", tls / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


class Binds(socketserver.BaseRequestHandler):
    """Answers the first bind with success, over TLS."""

    def handle(self) -> None:
        """Serve one connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls: Path = self.server.tls  # type: ignore[attr-defined]
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        try:
            with context.wrap_socket(self.request, server_side=True) as secured:
                answer = _message_id(secured.recv(1000)) + bytes.fromhex("61 07 0a0100 0400 0400")
                secured.sendall(bytes([0x30, len(answer)]) + answer)
                secured.recv(1000)
        except OSError:  # the client did not want the certificate
            pass


def _message_id(message: bytes) -> bytes:
    """Return the number of an LDAP message as it is encoded (RFC 4511, 4.1.1): ldap3 counts on in a
    process, so that it may have several bytes."""
    start = 2 + (message[1] & 0x7F if message[1] & 0x80 else 0)
    return message[start : start + 2 + message[start + 1]]


@contextmanager
def directory(tls: Path, **settings: object) -> Iterator[Directory]:
    """Serve LDAPS on loopback, and give a directory that asks there."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Binds) as server:
        server.tls = tls  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        given = {
            "servers": [f"ldaps://127.0.0.1:{server.server_address[1]}"],
            "base": "DC=campus,DC=test", "bind_dn": "CN=p", "password": "p", "server_name": DC,
            "ca_file": tls / "ca.pem", "timeout": 20, **settings,
        }  # fmt: skip
        try:
            yield Directory(DirectorySettings.model_validate(given), str.upper)
        finally:
            server.shutdown()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give ldap3 the default context of Python 3.13, on any Python."""
    make = ssl.create_default_context

    def strictly(**words: str) -> ssl.SSLContext:
        context = make(**words)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr("ldap3.core.tls.create_default_context", strictly)


def refused(tls: Path) -> str:
    """Shake hands in memory as Python 3.13 does; give what is said against it, '' for nothing."""
    context = ssl.create_default_context(cafile=tls / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tls / "server.pem", tls / "server.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(down, up, server_hostname=DC)
    server = serving.wrap_bio(up, down, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""


def test_the_lab_s_servers_are_taken_as_python_3_13_does(lab: Lab) -> None:
    certify(lab)
    assert refused(lab.path("tls")) == ""
    assert lacking(lab.path("tls", "ca.pem")) == []


def test_the_authority_of_an_earlier_lab_is_made_anew_and_a_good_one_kept(lab: Lab) -> None:
    homemade(lab.path("tls"))
    certify(lab)
    good = lab.path("tls", "ca.pem").read_bytes()
    assert refused(lab.path("tls")) == ""
    certify(lab)
    assert lab.path("tls", "ca.pem").read_bytes() == good


def test_what_a_homemade_authority_lacks_is_what_it_is_refused_for(lab: Lab) -> None:
    certify(lab)
    tls = lab.path("tls")
    path = signed_by_homemade(tls)
    assert refused(tls) == NO_KEY_USAGE
    assert lacking(path) == ["certificate 1 has no key usage"]


def test_a_server_s_certificate_in_the_file_is_no_authority_s_to_mend(lab: Lab) -> None:
    certify(lab)
    tls = lab.path("tls")
    server = (tls / "server.pem").read_text()
    both = lab.path("both.pem")
    both.write_text(server + homemade(tls).read_text())
    assert lacking(both) == ["certificate 2 has no key usage"]


@pytest.mark.usefixtures("strict")
def test_an_authority_without_key_usage_is_refused_with_the_setting_that_accepts_it(
    lab: Lab,
) -> None:
    certify(lab)
    signed_by_homemade(lab.path("tls"))
    with directory(lab.path("tls")) as asked:
        findings = check_directory(asked, "ad", {})
    assert NO_KEY_USAGE in findings[-1].message
    assert [("lenient_certificates: true" in one.advice) for one in findings] == [True, True]


@pytest.mark.usefixtures("strict")
def test_lenient_certificates_accepts_it_for_one_directory(lab: Lab) -> None:
    certify(lab)
    signed_by_homemade(lab.path("tls"))
    with directory(lab.path("tls"), lenient_certificates=True) as asked:
        assert list(asked.probe().values()) == [None]


@pytest.mark.parametrize("wrong", [{"server_name": "elsewhere.test"}, {"ca_file": None}])
def test_lenient_certificates_checks_name_and_signature_all_the_same(
    lab: Lab, wrong: dict[str, object]
) -> None:
    certify(lab)
    with directory(lab.path("tls"), lenient_certificates=True, **wrong) as asked:
        (fault,) = asked.probe().values()
    assert fault is not None
    assert "certificate" in str(fault).lower()
