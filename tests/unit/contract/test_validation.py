"""What people read of a wrong value: our words, for every key of the formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from handlers import command, home_directory, nss_gate
from handlers.gpfs import handler as gpfs_fileset
from handlers.ldap import ad_account, ad_group, adlds_account
from handlers.slurm import handler as slurm
from provisioner.config import schema
from provisioner.contract import (
    ConfigError,
    InvalidRequest,
    read_params,
    read_settings,
    together,
    validation,
)
from provisioner.request.actions import ACTIONS
from provisioner.request.documents import InvalidDocument, dump
from provisioner.request.request import parse_request

WRONG: tuple[object, ...] = (None, "", " ", "\x01", "x" * 5000, "-1", "1.5", "9" * 30, "a,b=c")
WRONG += ([], ["", {}], {}, {"no_such": "x"}, [[["x"]]], "2026-13-01", "2026-12-24T00:00:00")

FOREIGN = re.compile(
    r"(?i)\b(input|valid|instance|pydantic|parse|parsing|should|string_|validator|literal|"
    r"greater|KnownAfter|NoneType|dictionary|tuple|BaseModel|str|int)\b"
)
"""Words of pydantic's; `valid` and `should` stand in none of ours."""

CLASSES = re.compile(r"\b([A-Z][a-z]+){2,}\b|\b[A-Z][a-z]+Part\b")


def leaks(message: str) -> list[str]:
    return [m.group() for m in (*FOREIGN.finditer(message), *CLASSES.finditer(message))]


def fields(model: Any, seen: tuple[Any, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the keys of a model and of all models within."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield (key,)
        for inner in models(field.annotation):
            if inner not in seen:
                yield from ((key, *rest) for rest in fields(inner, (*seen, model)))


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models(inner)


def nested(path: tuple[str, ...], value: object) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


KEYS = [(action, path) for action, model in ACTIONS.items() for path in fields(model)]


@pytest.mark.parametrize(
    ("action", "path"), KEYS, ids=[f"{action}-{'.'.join(path)}" for action, path in KEYS]
)
def test_a_wrong_value_of_a_request_is_told_in_our_words(
    action: str, path: tuple[str, ...]
) -> None:
    for value in WRONG:
        text = dump({"provisioner": 1, "action": action, **nested(path, value)})
        try:
            parse_request(text.encode())
        except InvalidDocument as error:
            for problem in error.problems:
                said = problem.message.removeprefix(repr(value))
                assert leaks(said) == [], str(problem)
                assert problem.message


@pytest.mark.parametrize("path", list(fields(schema.Config)), ids=".".join)
def test_a_wrong_value_of_the_configuration_is_told_in_our_words(
    tmp_path: Path, path: tuple[str, ...]
) -> None:
    file = tmp_path / "provisioner.yaml"
    for value in WRONG:
        file.write_text(dump({"service": "a", "spool": "s", "journal": "j", **nested(path, value)}))
        try:
            schema.load(file)
        except ConfigError as error:
            said = error.message.replace(str(file), "").replace(repr(value), "")
            messages = [line.partition("; expected ")[0] for line in said.splitlines()]
            assert leaks(" ".join(messages)) == [], error.message


HANDLERS = {
    "ad_account": ad_account,
    "ad_group": ad_group,
    "adlds_account": adlds_account,
    "command": command,
    "gpfs_fileset": gpfs_fileset,
    "home_directory": home_directory,
    "nss_gate": nss_gate,
    "slurm": slurm,
}


@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("reader", ["Params", "Settings"])
def test_wrong_parameters_and_settings_are_told_in_our_words(name: str, reader: str) -> None:
    model: Any = getattr(HANDLERS[name], reader)
    for path in fields(model):
        for value in WRONG:
            try:
                if reader == "Params":
                    read_params(model, nested(path, value))
                else:
                    read_settings(model, nested(path, value))
            except InvalidRequest as fault:
                for one in (fault, *fault.also):
                    assert leaks(one.message.replace(repr(value), "")) == [], one.message
            except ConfigError as error:
                said = re.sub(r", expected [^;]*", "", error.message.replace(repr(value), ""))
                assert leaks(said) == [], error.message


def test_all_that_is_wrong_with_parameters_is_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_params(slurm.Params, {"account": "A B", "fairshare": "many", "usr": "x"})
    told = [raised.value, *raised.value.also]
    assert [(one.field, one.message, one.nearest) for one in told] == [
        ("account", "'A B' is not an account: a-z 0-9 _ . -, at most 64", ""),
        ("fairshare", "'many' is not a whole number", ""),
        ("usr", "unknown key", "user"),
    ]


def test_checks_that_fail_are_told_together() -> None:
    def fails(field: str) -> None:
        raise InvalidRequest("is wrong", field=field)

    with pytest.raises(InvalidRequest) as raised:
        together(lambda: fails("a"), lambda: None, lambda: fails("b"))
    assert [raised.value.field, *(one.field for one in raised.value.also)] == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("hpc-storge", ["hpc-storage", "cluster-a"], "hpc-storage"),
        ("slrum", ["slurm", "gpfs:local"], "slurm"),
        ("user.provison", ["user.provision", "project.provision"], "user.provision"),
        ("port", ["password", "server"], ""),
        ("limits", ["manifests", "lanes"], ""),
        ("thresholds", ["resources"], ""),
        ("journal_keep", ["journal"], "journal"),
        ("Server", ["server"], "server"),
        ("cb", ["ca"], "ca"),
    ],
)
def test_only_a_word_that_may_have_been_meant_is_offered(
    word: str, known: list[str], near: str
) -> None:
    assert validation.nearest(word, known) == near


def test_what_is_expected_of_a_text_says_that_it_is_one() -> None:
    fields = schema.Config.model_fields
    assert validation.expected(fields["staging_group"]) == "a text: group that may drop requests"
    home = home_directory.Settings.model_fields["mode"]
    assert validation.expected(home) == "permission bits of a home, such as 0700"
