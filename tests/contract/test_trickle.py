"""An answer that comes byte by byte has the time of one call, as any other, and frees the lane.

A socket's own timeout begins anew with each byte.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from handlers.gpfs.rest.gui import Gui
from handlers.ldap.directory import client
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.settings import DirectorySettings
from handlers.slurm.rest.wire import Wire
from provisioner.contract import Unavailable, Unknown
from tests.support.ad_backends import emulated
from tests.support.gpfs_gui import certificate
from tests.support.trickle import Answer, always, trickling

TIME = 0.2
"""Seconds of one call."""

HTTP = {
    "a body": ([always(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")], b" "),
    "chunks": ([always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")], b"1\r\n \r\n"),
    "a body until the end": ([always(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{")], b" "),
    "headers": ([always(b"HTTP/1.1 200 OK\r\n")], b"A: b\r\n"),
    "a status line": ([always(b"HTTP/1.1 200 ")], b"O"),
}


@pytest.mark.parametrize("what", HTTP)
def test_slurmrestd_has_the_time_of_a_call_for_an_answer(what: str) -> None:
    with trickling(*HTTP[what]) as port:
        wire = Wire(f"http://127.0.0.1:{port}", timeout=TIME)
        with pytest.raises(Unavailable, match="not done after 0"):
            wire.ask("GET", "/slurm", {})
        with pytest.raises(Unknown, match="not done after 0"):
            wire.ask("POST", "/slurm", {}, {})


@pytest.mark.parametrize("what", HTTP)
def test_a_gui_node_has_the_time_of_a_call_for_an_answer(what: str, tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made, key)
    with trickling(*HTTP[what], tls=tls) as port:
        gui = Gui([f"https://127.0.0.1:{port}"], lambda: ("u", "p"), made, timeout=TIME)
        with pytest.raises(Unavailable, match="not done after 0"):
            gui.read("cluster")
        with pytest.raises(Unknown, match="not done after 0"):
            gui.write("POST", "filesets", {})


def bound(asked: bytes) -> bytes:
    """Accept a bind: BindResponse with result 0 (RFC 4511, 4.2.2), of the same message."""
    message = asked[2 : 4 + asked[3]]
    answer = message + bytes.fromhex("61070a010004000400")
    return bytes([0x30, len(answer)]) + answer


begun = always(bytes.fromhex("308300ffff"))
"""The beginning of a message of 65,535 bytes."""

CALLS: dict[str, tuple[list[Answer], Callable[[Directory], object], type[Exception]]] = {
    "a bind": ([begun], lambda one: one.read("dc=x", ["cn"]), Unavailable),
    "a search": ([bound, begun], lambda one: one.search("dc=x", "(cn=a)", ["cn"]), Unavailable),
    "a read": ([bound, begun], lambda one: one.read("dc=x", ["cn"]), Unavailable),
    "an add": ([bound, begun], lambda one: one.add("cn=a,dc=x", {"objectClass": "x"}), Unknown),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_directory_has_the_time_of_a_call_for_an_answer(what: str) -> None:
    answer, call, fault = CALLS[what]
    with trickling(answer, b"\0") as port:
        given = {"servers": [f"ldap://127.0.0.1:{port}"], "base": "dc=x", "tls": "none"}
        settings = DirectorySettings.model_validate({**given, "timeout": 1})
        with pytest.raises(fault, match="not done after 1 s"):
            call(Directory(settings, lambda _: ""))


def test_a_directory_that_always_has_another_page_gives_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGES", 3)
    monkeypatch.setattr(client, "_cookie", lambda result: b"0")
    ad = emulated(tmp_path, "ad")
    settings = DirectorySettings.model_validate({**ad.connection, "base": ad.base})
    with pytest.raises(Unavailable, match="no end after 3 pages"):
        Directory(settings, ad.site("x").secret).search(ad.base, "(objectClass=*)", ["cn"])
