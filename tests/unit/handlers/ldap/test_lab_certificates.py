"""The lab's authority, and a site's own: what Python 3.13 and later ask, made and looked for."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from deploy.lab.directories import DC, certify
from deploy.lab.place import Lab
from handlers.ldap.directory.authority import lacking

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
    path = homemade(tls)
    subprocess.run(
        ["openssl", "x509", "-req", "-in", tls / "server.csr", "-CA", path, "-CAkey",
         tls / "ca.key", "-extfile", tls / "server.ext", "-out", tls / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert refused(tls) == NO_KEY_USAGE
    assert lacking(path) == ["certificate 1 has no key usage"]


def test_a_server_s_certificate_in_the_file_is_no_authority_s_to_mend(lab: Lab) -> None:
    certify(lab)
    tls = lab.path("tls")
    server = (tls / "server.pem").read_text()
    both = lab.path("both.pem")
    both.write_text(server + homemade(tls).read_text())
    assert lacking(both) == ["certificate 2 has no key usage"]
