"""The suite of the contract finds the handler that breaks a promise, and passes the one that does
not: a shelf of books in memory, honest but for one flaw."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import (
    Change,
    Claim,
    ConfigError,
    Conflict,
    Fault,
    Finding,
    InvalidRequest,
    Key,
    KnownAfter,
    Level,
    Owner,
    Permanent,
    Scalar,
    Site,
    State,
    Unavailable,
    Want,
    make_key,
)
from provisioner.testing import FakeHost, HandlerContract, site

SECRET = "correct horse"
NOWHERE = "nowhere"


class Shelf:
    """A handler whose books are in a dictionary. flaw: the one promise that it breaks."""

    lane = "shelf"

    def __init__(self, site: Site, books: dict[Key, dict[str, Any]] | None, flaw: str) -> None:
        self._site = site
        self._books = books
        self._flaw = flaw

    def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        name, title = str(params.get("name", "")), params.get("title")
        if self._flaw == "believes names" and name.startswith("-"):
            return {f"test/book/{name}": {"present": True, "title": str(title)}}
        try:
            key = make_key("other" if self._flaw == "another instance" else "test", "book", name)
        except InvalidRequest as fault:
            field = "" if self._flaw == "names no field" else "name"
            raise InvalidRequest(fault.message, field=field) from None
        if self._flaw == "keys depend on values":
            key += str(len(str(title)))
        if self._flaw == "asks the backend for claims":
            self.observe([key])
        known = not isinstance(title, KnownAfter) or self._flaw == "hides what is not known"
        wanted: Any = str(title) if known else title
        if self._flaw == "wants no JSON":
            wanted = {wanted}
        return {key: {"present": True, "title": wanted}}

    def merge(self, key: Key, claims: Sequence[Claim], prior: State | None) -> Want:
        live = [claim for claim in claims if not claim.suspended]
        if self._flaw == "merges nothing badly" and not claims:
            raise IndexError("no claims")
        titles = [str(claim.want["title"]) for claim in live or claims]
        if self._flaw != "takes the last claim":
            titles.sort()
        title = titles[-1] if titles else None
        if self._flaw == "adds claims up":
            title = "".join(titles)
        shut = not live
        if self._flaw == "one suspension closes":
            shut = len(live) < len(claims)
        place = "locked" if shut else (prior or {}).get("place")
        return {"present": bool(live), "title": title, "place": place}

    def prior(self, key: Key, state: State) -> State | None:
        if not state["present"] or self._flaw == "saves nothing":
            return None
        return {"place": "locked" if self._flaw == "saves what is locked" else state["place"]}

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        if self._books is None:
            if self._flaw == "takes away for absent":
                return {key: {"present": False} for key in keys}
            raise Unavailable("the library is shut")
        found: dict[Key, State | Fault] = {}
        for key in keys:
            book = self._books.get(key)
            found[key] = {"present": False} if book is None else {"present": True, **book}
        if self._flaw == "forgets a key" and len(found) > 1:
            found.popitem()
        return found

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        books = self._open()
        if self._flaw == "writes while it plans":
            books[key] = {"title": want["title"], "place": want["place"]}
        if not state["present"]:
            if not want["present"] and self._flaw != "makes what is suspended":
                return []
            put = self._change(key, "put", {"title": want["title"], "place": None})
            return [put, self._change(key, "move", {"place": "left"})]
        if self._flaw == "throws away" and want["title"] is None:
            return [self._change(key, "drop", {})]
        if state.get("reader") and self._flaw != "takes what is another's":
            raise Conflict(f"{key}: it is {state['reader']}'s")
        changes = []
        title: Any = want["title"]
        place: Any = want["place"] or state["place"] or "left"
        if self._flaw == "takes nothing up":
            place = want["place"] or state["place"]
        if want["present"] and title != state["title"] and self._flaw != "overlooks titles":
            changes.append(self._change(key, "title", {"title": title}))
        if place != state["place"] and (want["present"] or place == "locked"):
            weeded = {"weeded": True} if self._flaw == "weeds for good" and title is None else {}
            changes.append(self._change(key, "move", {"place": place, **weeded}))
        if self._flaw == "is never content":
            changes.append(self._change(key, "dust", {}))
        return changes

    def _change(self, key: Key, verb: str, data: Mapping[str, Any]) -> Change:
        text = "" if self._flaw == "says nothing" else f"{verb} {dict(data)}"
        if self._flaw == "tells secrets":
            text += self._site.secret("library")
        return Change(key, verb, text, 1 if verb == "move" else 0, verb, data)

    def apply(self, changes: Sequence[Change]) -> None:
        books = self._open()
        for change in changes:
            data = dict(change.data)
            if change.verb == "drop":
                del books[change.key]
                continue
            if self._flaw == "wants company" and len(changes) < 3:
                continue
            if self._flaw == "counts writes":
                data["writes"] = books.get(change.key, {}).get("writes", 0) + 1
            books[change.key] = {**books.get(change.key, {}), **data}
        if self._flaw == "spoils the batch" and len(changes) > 1:
            raise Unavailable("two at once are too many")

    def _open(self) -> dict[Key, dict[str, Any]]:
        if self._books is None:
            raise Unavailable("the library is shut")
        return self._books

    def inventory(self) -> Iterable[tuple[Key, State]]:
        if self._flaw == "lists nothing":
            return ()
        return [(key, {"present": True, **book}) for key, book in self._open().items()]

    def outputs(self, state: State) -> Mapping[str, Scalar]:
        whole: Any = dict(state)
        return {"book": whole} if self._flaw == "gives mappings out" else {"title": whole["title"]}

    def check(self) -> Sequence[Finding]:
        if self._flaw == "doctor raises":
            self._open()
        if self._books is None and self._flaw != "doctor sees nothing":
            return [Finding(Level.ERROR, "shelf", "the library is shut", "unlock it")]
        return [Finding(Level.OK, "shelf", "stands")]


class ShelfContract(HandlerContract):
    """The suite over a shelf, not collected by its name."""

    params = {"name": "emma", "title": "Emma"}
    other_params = {"name": "emma", "title": "Zadig"}
    more_params = [{"name": "ulysses", "title": "Ulysses"}, {"name": "dune", "title": "Dune"}]
    bad_params = [("name", {"title": "Emma"}), ("name", {"name": "", "title": "Emma"})]
    late = ["title"]
    secrets = [SECRET]

    def __init__(self, flaw: str, directory: Path) -> None:
        self.flaw = flaw
        self._directory = directory
        self._fresh("first")

    def prepare(self, directory: Path) -> None:
        self.books: dict[Key, dict[str, Any]] = {}

    def handler(self) -> Shelf:
        return Shelf(site(secrets={"library": SECRET}), self.books, self.flaw)

    def away(self) -> Shelf:
        return Shelf(site(), None, self.flaw)

    def rearrange(self) -> None:
        for book in self.books.values():
            book["place"] = "right"

    def disturb(self) -> None:
        for book in self.books.values():
            book["title"] = "Torn"

    def disown(self) -> None:
        for book in self.books.values():
            book["reader"] = "asmith"


PROMISES = [name for name, _ in inspect.getmembers(HandlerContract) if name.startswith("test_")]

FLAWS = [
    ("another instance", "keys_are_well_formed_and_begin_with_the_instance"),
    ("keys depend on values", "a_value_that_is_known_later_changes_no_key"),
    ("hides what is not known", "a_want_says_what_of_it_is_known_later"),
    ("asks the backend for claims", "claims_are_pure_and_need_no_backend"),
    ("wants no JSON", "wants_are_json"),
    ("names no field", "bad_parameters_are_refused_naming_the_field"),
    ("believes names", "hostile_names_are_refused_naming_the_field"),
    ("takes the last claim", "the_order_of_claims_says_nothing"),
    ("adds claims up", "a_second_claim_of_the_same_adds_nothing"),
    ("merges nothing badly", "no_claim_and_only_suspended_claims_make_a_want_too"),
    ("one suspension closes", "one_live_claim_beside_a_suspended_one_keeps_an_object_open"),
    ("forgets a key", "every_key_gets_an_answer_that_stays_the_same"),
    ("writes while it plans", "planning_writes_nothing"),
    ("says nothing", "changes_tell_what_they_do_and_no_secret"),
    ("tells secrets", "changes_tell_what_they_do_and_no_secret"),
    (
        "takes what is another's",
        "what_is_not_ours_and_differs_is_a_conflict_and_nothing_is_written",
    ),
    ("is never content", "what_was_made_is_so_and_a_second_run_writes_nothing"),
    ("overlooks titles", "other_values_are_made_so_and_can_be_taken_back"),
    ("spoils the batch", "a_batch_is_made_in_one_run"),
    ("wants company", "a_poison_item_fails_alone"),
    ("takes nothing up", "killed_before_any_write_it_goes_on_to_the_same_state"),
    ("saves nothing", "killed_while_closing_it_still_opens_as_it_was"),
    ("saves nothing", "what_is_withdrawn_and_claimed_again_while_suspended_opens_as_it_was"),
    ("saves what is locked", "what_is_resumed_is_as_it_was"),
    ("counts writes", "other_values_are_made_so_and_can_be_taken_back"),
    ("makes what is suspended", "what_is_suspended_before_it_was_made_is_not_made"),
    ("throws away", "what_nobody_claims_is_left_or_taken_out_as_the_handler_says"),
    ("weeds for good", "what_is_withdrawn_and_claimed_again_is_as_it_was"),
    ("weeds for good", "killed_while_withdrawing_it_can_still_be_claimed_as_it_was"),
    ("gives mappings out", "outputs_are_scalars_by_plain_names"),
    ("lists nothing", "the_inventory_lists_what_was_made"),
    ("doctor raises", "the_doctor_names_a_backend_that_is_away_and_never_raises"),
    ("doctor sees nothing", "the_doctor_names_a_backend_that_is_away_and_never_raises"),
    ("takes away for absent", "a_backend_that_is_away_is_a_fault_and_no_state"),
]
"""What a handler may do wrong, and a promise that shows it."""


@pytest.mark.parametrize("promise", PROMISES)
def test_an_honest_handler_keeps_every_promise(promise: str, tmp_path: Path) -> None:
    getattr(ShelfContract("", tmp_path), promise)()


@pytest.mark.parametrize(("flaw", "promise"), FLAWS)
def test_a_flaw_is_found(flaw: str, promise: str, tmp_path: Path) -> None:
    case = ShelfContract(flaw, tmp_path)
    with pytest.raises((AssertionError, pytest.fail.Exception, Fault, LookupError, TypeError)):
        getattr(case, f"test_{promise}")()


def test_a_site_for_tests_has_the_secrets_and_templates_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "mail.j2").write_text("Dear {{ name }}")
    made = site("wiki", templates=tmp_path, secrets={"token": SECRET})
    assert (made.instance, made.secret("token")) == ("wiki", SECRET)
    assert made.render(made.template("mail.j2").read_text(), {"name": "Jane"}) == "Dear Jane"
    for ask in (made.secret, made.template):
        with pytest.raises(ConfigError):
            ask(NOWHERE)


def test_a_fake_host_remembers_directories_and_touches_none(tmp_path: Path) -> None:
    host = FakeHost()
    host.make(tmp_path, "jdoe", owner=Owner(1, 2), mode=0o700, skeleton=None)
    host.set_owner(tmp_path, "jdoe", owner=Owner(3, 4))
    host.set_mode(tmp_path, "jdoe", mode=0o750)
    host.set_acl(tmp_path, "jdoe", acl="g:5:r-x")
    seen = host.observe(tmp_path, "jdoe")
    assert (seen.uid, seen.gid, seen.mode, seen.acl) == (3, 4, 0o750, "g:5:r-x")
    assert (list(host.children(tmp_path)), list(tmp_path.iterdir())) == (["jdoe"], [])
    assert not host.observe(tmp_path, "asmith").present
    with pytest.raises(Permanent):
        host.set_mode(tmp_path, "asmith", mode=0o700)
