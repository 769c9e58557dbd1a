"""What a gate read early serves once, for a moment, and only if it is there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from handlers import nss_gate
from handlers.nss_gate import Early, States
from provisioner.contract import NotReady

ANN: Mapping[str, Any] = {"present": True, "id": 7}
BOB: Mapping[str, Any] = {"present": False}


def asked(*keys: str, **seen: Any) -> Early:
    """Return what has read some objects."""
    one = Early()
    one.ask(keys, lambda: seen)
    with one._turn:
        assert one._turn.wait_for(lambda: not one._open, 20)
    return one


def test_it_serves_once() -> None:
    one = asked("ann", ann=ANN)
    assert [one.take(["ann", "eve"]), one.take(["ann"])] == [{"ann": ANN}, {}]


def test_others_ask_for_themselves_and_leave_it() -> None:
    one = asked("ann", ann=ANN)
    assert [one.take(["eve"]), one.take(["ann"])] == [{}, {"ann": ANN}]


@pytest.mark.parametrize("state", [BOB, NotReady("no answer")])
def test_what_is_not_there_is_asked_for_again(state: Any) -> None:
    assert asked("ann", "bob", ann=ANN, bob=state).take(["ann", "bob"]) == {"ann": ANN}


def test_it_serves_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nss_gate, "MOMENT", -1.0)
    assert asked("ann", ann=ANN).take(["ann"]) == {}


def test_what_the_look_raises_is_not_told() -> None:
    one = Early()

    def look() -> States:
        raise ValueError

    one.ask(["ann"], look)
    assert one.take(["ann"]) == {}


class Open:
    """A look that ends when it is told."""

    def __init__(self, *keys: str) -> None:
        self.end = threading.Event()
        self.early = Early()
        self.early.ask(keys, self._look)

    def _look(self) -> States:
        assert self.end.wait(20)
        return {"ann": ANN, "bob": ANN}


def test_what_is_being_asked_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nss_gate, "MOMENT", 3600.0)
    look = Open("ann")
    wait = look.early._turn.wait_for

    def waits(*given: Any) -> Any:
        look.end.set()
        return wait(*given)

    monkeypatch.setattr(look.early._turn, "wait_for", waits)
    assert look.early.take(["ann"]) == {"ann": ANN}


def test_what_should_be_asked_again_meanwhile_is_not_handed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nss_gate, "MOMENT", 3600.0)
    look = Open("ann", "bob")
    look.early.ask(["ann"], lambda: {})
    look.end.set()
    assert look.early.take(["ann", "bob"]) == {"bob": ANN}


def test_a_host_without_a_thread_left_looks_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    one = Early()
    one.ask(["ann"], lambda: {"ann": ANN})
    assert one.take(["ann"]) == {}
