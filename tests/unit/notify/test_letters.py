"""A message becomes a mail: the shipped templates, a site's own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.config.notify import Event, MailConfig, is_address
from provisioner.notify import samples
from provisioner.notify.letters import NAMES, Letter, Letters, TemplateWrong, envelope
from provisioner.wiring import SHIPPED_TEMPLATES

SETTINGS = MailConfig(server="localhost", sender="hpc@campus.test")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A site's directory for templates of mail."""
    folder = tmp_path / "mail"
    folder.mkdir()
    return folder


@pytest.fixture
def letters(own: Path) -> Letters:
    return Letters((own.parent, SHIPPED_TEMPLATES))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_template_says_the_same_as_text_and_as_html(letters: Letters, name: str) -> None:
    for facts in samples.of(name):
        letter = letters.render(name, facts)
        assert letter.subject
        assert facts["service"] in letter.text
        assert facts["service"] in letter.html
        assert all(len(line) <= 160 for line in letter.text.splitlines())


def test_every_key_that_a_sample_has_is_in_every_sample() -> None:
    keys = [set(facts) for name in NAMES for facts in samples.of(name)]
    assert all(some == keys[0] for some in keys)


def test_a_site_replaces_a_text_and_its_html_is_not_mixed_with_it(
    letters: Letters, own: Path
) -> None:
    (own / "account_ready.txt.j2").write_text("Subject: Hi {{ person }}\nMoin.\n")
    letter = letters.render(Event.ACCOUNT_READY, samples.of(Event.ACCOUNT_READY)[0])
    assert letter == Letter("Hi jdoe", "Moin.\n", "")


WRONG = {
    "a typo in a name": ("Subject: x\n\n{{ acount.name }}\n", "line 3: 'acount' is undefined"),
    "a tag that is not closed": ("Subject: x\n{% if again %}\n", "Unexpected end of template"),
    "an unknown filter": ("Subject: x\n\n\n{{ person | uper }}\n", "line 4: No filter named"),
    "no subject": ("Hello\n", "line 1: must begin with `Subject: `"),
    "an include that is missing": ("Subject: x\n{% include 'y' %}\n", "includes y, which does not"),
    "a way out of the sandbox": (
        "Subject: {{ person.__class__.__mro__ }}\n", "access to attribute '__class__'",
    ),
    "a sum of texts": ("Subject: x\n{{ person | sum }}\n", "line 2: unsupported operand"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_template_names_its_file_and_line(
    letters: Letters, own: Path, name: str
) -> None:
    text, told = WRONG[name]
    (own / "account_ready.txt.j2").write_text(text)
    [said] = letters.wrong()
    assert told in said
    assert "account_ready.txt.j2" in said


def test_all_wrong_templates_are_told_at_once(letters: Letters, own: Path) -> None:
    for name in (Event.DIGEST, Event.ACCESS_REMOVED):
        (own / f"{name}.txt.j2").write_text("{{ x }}")
    assert [text.rpartition(": ")[2] for text in letters.wrong()] == ["'x' is undefined"] * 2


def test_a_template_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateWrong, match=r"there is no template digest\.txt\.j2"):
        Letters((tmp_path,)).render(Event.DIGEST, {})


def test_no_text_of_a_fact_makes_a_header_or_a_tag(letters: Letters) -> None:
    facts: dict[str, Any] = {**samples.of(Event.ALLOCATION_READY)[0]}
    evil = "x\r\nBcc: victim@example.org\r\n\r\n<b>\x1b[31m"
    facts["allocation"] = {**facts["allocation"], "resource": evil, "path": evil}
    letter = letters.render(Event.ALLOCATION_READY, facts)
    mail = envelope(letter, SETTINGS, to="ann@campus.test", message_id="i", at=0.0)
    assert mail["Bcc"] is None
    assert "<b>" not in letter.html
    assert "\x1b" not in letter.text + letter.html + letter.subject


def test_an_id_that_no_header_takes_is_replaced_by_its_digest() -> None:
    letter = Letter("s", "t\n", "")
    ids = {
        envelope(letter, SETTINGS, to="a@b.c", message_id=i, at=0.0)["Message-ID"]
        for i in ("a>b", "a>c", "plain")
    }
    assert len(ids) == 3
    assert "<plain@campus.test>" in ids


@pytest.mark.parametrize(
    "text", ["a@b", "a.b+c@d-e.example.org", "x" * 64 + "@example.org", "o'neil@example.org"]
)
def test_an_address_is_plain(text: str) -> None:
    assert is_address(text)
    envelope(Letter("s", "t\n", ""), SETTINGS, to=text, message_id="i", at=0.0)


@pytest.mark.parametrize(
    "text",
    ["", "a", "@b", "a@", "a b@c", "a@b\n", "a@b\r\nBcc: x@y", "<a@b>", "a@b,c@d", "é@b.c",
     "a@b..", "a@b..c", "a@b.", "a@-b.c", "a@b-.c",
     ".a@b.c", "a..b@c.d", "a.@b.c", '"a"@b.c', "a@b;c@d"],
)  # fmt: skip
def test_what_is_no_address_gets_no_mail(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(ValueError, match="not a mail address"):
        envelope(Letter("s", "t\n", ""), SETTINGS, to=text, message_id="i", at=0.0)


def test_a_template_that_was_read_is_read_again_after_a_change(own: Path) -> None:
    said = []
    for text in ("once", "twice"):
        (own / "done.txt.j2").write_text(f"Subject: {text}\n{text}\n")
        said.append(Letters([own.parent]).render("done", {}).text)
    assert said == ["once\n", "twice\n"]
