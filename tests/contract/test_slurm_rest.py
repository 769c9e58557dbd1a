"""slurmrestd as the way to slurmdbd: what it hides, what is no answer, and what it cannot do."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from handlers.slurm.handler import build
from handlers.slurm.rest import wire
from handlers.slurm.rest.slurmrestd import Slurmrestd
from handlers.slurm.rest.wire import Wire
from provisioner.contract import ConfigError, Fault, InvalidRequest, Level, Unavailable, Unknown
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, faults
from tests.support.slurm_sites import Cluster

KEY = "slurm-a/account/cf1"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return slurm_sites.by_rest(tmp_path)


def made(cluster: Cluster, **more: object) -> None:
    """Make account cf1 with a limit of each kind, and a user in it."""
    ledger = Ledger()
    ledger.want(cluster.handler(), "allocation:1", account("cf1", **more))
    assert faults(ledger.run(cluster.handler())) == {}
    ledger.want(cluster.handler(), "allocation:1", {"account": "cf1", "user": "ann"})
    assert faults(ledger.run(cluster.handler())) == {}


# What its answers hide.


def test_a_change_keeps_every_resource_and_the_inherited_qos(cluster: Cluster) -> None:
    """slurmrestd takes off resources that a change leaves out, and writes down inherited QOS."""
    made(cluster, specs="GrpTRES=cpu=64,mem=1G:MaxTRES=node=2")
    ledger = Ledger()
    specs = "GrpTRES=cpu=32,mem=1G:MaxTRES=node=2:MaxJobs=5"
    ledger.want(cluster.handler(), "allocation:1", account("cf1", specs=specs))
    outcomes = ledger.run(cluster.handler())
    assert faults(outcomes) == {}
    (row,) = (r for r in cluster.sacctmgr().associations(["cf1"]) if not r.user)
    assert row.limits == {
        "GrpTRES/cpu": 32,
        "GrpTRES/mem": 1024,
        "MaxTRES/node": 2,
        "MaxJobs": 5,
    }


def test_a_user_who_is_gone_meanwhile_gets_no_association_by_a_change(cluster: Cluster) -> None:
    """slurmrestd makes one, of a user whom slurmdbd does not know."""
    made(cluster)
    slurmdbd = cluster.handler()._tools.slurmdbd
    slurmdbd.modify_users("cf1", ["ann", "gone"], [], ["MaxJobs=3"])
    assert {r.user for r in cluster.sacctmgr().associations(["cf1"])} == {"", "ann"}


def test_nothing_is_deleted_for_nobody(cluster: Cluster) -> None:
    """A condition without users is every user's."""
    made(cluster)
    cluster.handler()._tools.slurmdbd.delete_users("cf1", [], [])
    assert {r.user for r in cluster.sacctmgr().associations(["cf1"])} == {"", "ann"}


def test_the_association_without_a_partition_is_not_deleted_with_all_others(
    cluster: Cluster,
) -> None:
    """slurmrestd reads an empty partition as any."""
    made(cluster)
    cluster.admin(["add", "user", "ann", "cluster=a", "account=cf1", "partition=main"])
    with pytest.raises(Fault) as raised:
        cluster.handler()._tools.slurmdbd.delete_users("cf1", ["ann"], ['partition=""'])
    assert "sacctmgr delete user where name=ann account=cf1 cluster=a" in raised.value.advice
    assert [r.partition for r in cluster.sacctmgr().associations(["cf1"]) if r.user] == ["", "main"]


def test_an_account_that_is_not_there_is_found_by_reading_back(cluster: Cluster) -> None:
    """slurmrestd says 304, and nothing is written."""
    slurmdbd = cluster.handler()._tools.slurmdbd
    slurmdbd.add_users("nowhere", ["ann"], [])
    assert slurmdbd.associations(["nowhere"]) == []


@pytest.mark.parametrize("specs", ["QOS+=normal", "QOS-=normal", "QOS="])
def test_what_slurmrestd_cannot_say_of_qos_is_refused_before_anything(
    cluster: Cluster, specs: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        cluster.handler().claims({"account": "cf1", "specs": specs})
    assert raised.value.expected == "the whole list, QOS=NAMES"


# What is no answer.

Speak = Callable[[socket.socket], None]


def says(text: str, status: str = "200 OK") -> Speak:
    def speak(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        connection.sendall(f"{head}{text}".encode())

    return speak


def cut(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"associations": [')


def endless(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def errors(number: int, words: str) -> str:
    return json.dumps({"errors": [{"error_number": number, "error": words, "description": ""}]})


@contextmanager
def served(path: Path, speak: Speak) -> Iterator[str]:
    """Speak to each connection at a socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    with connection:
                        speak(connection)
                except (BrokenPipeError, ConnectionResetError):
                    continue
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"unix:{path}"
        listener.shutdown(socket.SHUT_RDWR)


ANSWERS: Mapping[str, tuple[Speak, str]] = {
    "no JSON": (says("<html>Bad Gateway</html>", "502 Bad Gateway"), "Bad Gateway"),
    "JSON of another kind": (says("[]"), "[]"),
    "no list": (says('{"associations": {}}'), "no list of associations"),
    "a row without a name": (says('{"associations": [{"account": 7}]}'), "no text account"),
    "nothing": (says(""), "no words"),
    "cut off": (cut, "cut off"),
    "endless": (endless, "more than"),
    "a token that is none": (says("Authentication failure", "401 Unauthorized"), "refuses"),
    "a token that ran out": (
        says(errors(7000, "Unable to connect to database"), "502 Bad Gateway"),
        "does not reach slurmdbd",
    ),
    "an error of its own": (says(errors(9000, "bad"), "500 Internal Server Error"), "bad"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_means_that_the_backend_is_away(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST", 2**20)
    speak, words = ANSWERS[name]
    with served(tmp_path / "s", speak) as address:
        slurmdbd = Slurmrestd(Wire(address, timeout=5), "a")
        with pytest.raises(Unavailable) as raised:
            slurmdbd.associations(["cf1"])
    assert words in raised.value.message
    assert raised.value.advice


def test_a_slurmrestd_that_is_away_is_away_for_reads_and_writes(tmp_path: Path) -> None:
    slurmdbd = Slurmrestd(Wire(f"unix:{tmp_path}/none", timeout=5), "a", "v0.0.42")
    for ask in (
        lambda: slurmdbd.associations(["cf1"]),
        lambda: slurmdbd.add_users("cf1", ["ann"], []),
    ):
        with pytest.raises(Unavailable) as raised:
            ask()
        assert "systemctl status slurmrestd" in raised.value.advice


def test_a_write_without_an_answer_may_have_happened(tmp_path: Path) -> None:
    with served(tmp_path / "s", lambda connection: None) as address:
        slurmdbd = Slurmrestd(Wire(address, timeout=5), "a", "v0.0.42")
        slurmdbd._found = "v0.0.42"
        with pytest.raises(Unknown):
            slurmdbd.add_users("cf1", ["ann"], [])


# Parser and token.


def test_the_newest_parser_that_both_know_is_used(tmp_path: Path) -> None:
    parsers = ("v0.0.42", "v0.0.43", "v0.0.46")
    slurmdbd = slurm_sites.by_rest(tmp_path, parsers=parsers).handler()._tools.slurmdbd
    assert isinstance(slurmdbd, Slurmrestd)
    assert slurmdbd.parser() == "v0.0.43"


def test_a_slurmrestd_with_older_parsers_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    cluster = slurm_sites.by_rest(tmp_path, parsers=("v0.0.38",))
    with pytest.raises(Unavailable) as raised:
        cluster.handler().observe([KEY])
    assert "v0.0.42 or newer" in raised.value.message
    assert "24.11 or later" in raised.value.advice


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slurmrestd": None}, "needs `slurmrestd`"),
        ({"parser": "v0.0.39"}, "did you mean 'v0.0.43'"),
        ({"slurmrestd": "http://10.1.2.3:6820", "token": "t"}, "clear text"),
        ({"slurmrestd": "http://127.0.0.1:6820"}, "set `token`"),
        ({"slurmrestd": "ftp://host"}, "unix:/PATH"),
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_handler_is_built(
    cluster: Cluster, wrong: Mapping[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        build(slurm_sites.site(), {**cluster.settings, **wrong})
    told = [raised.value.message, *(str(one) for one in raised.value.settings)]
    assert any(words in text for text in told), told


def token(end: float) -> str:
    claims = (
        base64.urlsafe_b64encode(json.dumps({"exp": end, "sun": "prov"}).encode())
        .decode()
        .rstrip("=")
    )
    return f"SLURM_JWT=e30.{claims}.sign"


def test_a_renewed_token_counts_at_once(tmp_path: Path) -> None:
    new = token(time.time() + 1e6)
    cluster = slurm_sites.by_rest(tmp_path, token=new.removeprefix("SLURM_JWT="))
    file = tmp_path / "token"
    file.write_text(token(1.0))
    handler = replace(cluster, settings={**cluster.settings, "token": str(file)}).handler()
    with pytest.raises(Unavailable, match="the token ended on 1970-01-01") as raised:
        handler.observe([KEY])
    assert "scontrol token username=prov lifespan=" in raised.value.advice
    [said] = handler.check()
    assert "the token ended on 1970-01-01" in said.message
    file.write_text(new + "\n")
    assert handler.observe([KEY])[KEY] == {"present": False, "account": "cf1"}


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(30, Level.OK, "ends on"), (1, Level.WARNING, "ends on"), (-1, Level.ERROR, "ended on")],
)
def test_doctor_says_which_way_which_parser_and_when_the_token_ends(
    tmp_path: Path, days: float, level: Level, words: str
) -> None:
    text = token(time.time() + days * 86400)
    cluster = slurm_sites.by_rest(tmp_path, token=text.removeprefix("SLURM_JWT="))
    (tmp_path / "token").write_text(text)
    settings = {**cluster.settings, "token": str(tmp_path / "token")}
    found = [
        one for one in build(slurm_sites.site(), settings).check() if one.subject == "slurmrestd"
    ]
    assert [one.level for one in found] == [Level.OK, level]
    assert "24.11.5, data parser v0.0.42" in found[0].message
    assert words in found[1].message
