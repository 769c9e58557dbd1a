"""Names, paths and numbers in a request: strict, so that no backend ever sees a strange one."""

from __future__ import annotations

import pytest

from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request
from provisioner.request.values import as_person

HOSTILE = [
    *("", " ", ".", "..", "../a", "a/b", "a\\b", "a\0b", "a\nb", "a\n", "\na", "a\tb", "a b", "-a"),
    *("a;id", "a$(id)", "a`id`", "a|b", "a&b", "a>b", "a*", "a?", "a'b", 'a"b', "a#b", "a%s"),
    *("a!b", "a=b", "a,b", "a:b", "(a)", "a)(uid=*", "a@b", "a+b", "{{ a }}", "a\x1b[2J", "a\x7f"),
    *("\xe9", "\u0430", "\uff41", "a\u200b", "\u202ea", "x" * 65),
]
"""What nobody is called: shells, paths, LDAP filters, what a terminal acts on, and look-alikes."""


def quoted(text: str) -> str:
    """Escape for a double-quoted scalar, so that only the schema can object."""
    return "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text)


def wrong(action: str, body: str) -> list[tuple[int | None, str]]:
    """List line and key of each problem."""
    with pytest.raises(InvalidDocument) as raised:
        parse_request(f"provisioner: 1\naction: {action}\n{body}".encode())
    return [(problem.line, problem.key) for problem in raised.value.problems]


@pytest.mark.parametrize("name", [*HOSTILE, "Jdoe", "1a", ".a", "x" * 33], ids=ascii)
@pytest.mark.parametrize(
    ("action", "body", "key"),
    [
        ("user.provision", 'user: {name: "%s"}', "user.name"),
        ("user.suspend", 'user: {name: "%s"}', "user.name"),
        ("project.provision", 'project: {code: c, users: ["%s"]}', "project.users[1]"),
        ("project.archive", 'project: {code: c, pi: "%s"}', "project.pi"),
        ("membership.remove", 'membership: {user: "%s", allocation: {id: 1}}', "membership.user"),
    ],
)
def test_a_name_that_no_user_has_is_refused(action: str, body: str, key: str, name: str) -> None:
    assert wrong(action, body % quoted(name)) == [(3, key)]


@pytest.mark.parametrize("code", [*HOSTILE, ".a", "_a"], ids=ascii)
@pytest.mark.parametrize(
    ("action", "body", "key"),
    [
        ("project.archive", 'project: {code: "%s"}', "project.code"),
        ("allocation.suspend", 'allocation: {id: "%s"}', "allocation.id"),
        ("allocation.suspend", 'allocation: {id: 1, resource: "%s"}', "allocation.resource"),
        (
            "allocation.suspend",
            'allocation: {id: 1, slurm: {account: "%s"}}',
            "allocation.slurm.account",
        ),
        (
            "allocation.suspend",
            'allocation: {id: 1, slurm: {qos: ["%s"]}}',
            "allocation.slurm.qos[1]",
        ),
        (
            "allocation.suspend",
            'allocation: {id: 1, storage: {fileset: "%s"}}',
            "allocation.storage.fileset",
        ),
        ("user.provision", 'user: {name: a, groups: ["%s"]}', "user.groups[1]"),
        (
            "reconcile",
            f'manifest: {{file: "%s", size: 1, sha256: "{"0" * 64}"}}',
            "manifest.file",
        ),
    ],
)
def test_a_code_that_is_none_is_refused(action: str, body: str, key: str, code: str) -> None:
    assert wrong(action, body % quoted(code)) == [(3, key)]


@pytest.mark.parametrize("name", ["a", "jdoe", "_svc", "j.doe-2", "x" * 32, "no", "null_"])
def test_what_a_user_may_be_called(name: str) -> None:
    text = f"provisioner: 1\naction: user.suspend\nuser: {{name: {name}}}"
    assert parse_request(text.encode()).users == (name,)


@pytest.mark.parametrize(
    "path",
    [
        *("home/a", "/", "//a", "/a//b", "/a/", "/a/../b", "/..", "/.a", "/a b", "/a;b", "/a\nb"),
        *("/a\0", "/$(a)", "/{{a}}", "/" + "a" * 1000),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("key", ["shell", "home"])
def test_a_path_that_is_not_plain_is_refused(key: str, path: str) -> None:
    body = f'user: {{name: a, {key}: "{quoted(path)}"}}'
    assert wrong("user.provision", body) == [(3, f"user.{key}")]


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-1", "4294967294", "4294967295", "1.5", "0x10", "root", "''"),
        *("1_0", "10.0", "+10", "' 10'", "1e1", '"\\u0661\\u0660"', "9" * 5000),
    ],
    ids=lambda number: number[:12],
)
@pytest.mark.parametrize("key", ["uid", "gid"])
def test_an_id_that_is_root_nobody_or_no_number_is_refused(key: str, number: str) -> None:
    assert wrong("user.provision", f"user: {{name: a, {key}: {number}}}") == [(3, f"user.{key}")]


@pytest.mark.parametrize("mail", ["a", "a@", "@b", "a b@c", "a@b c", "a@b\nc", "<a@b>", "a@b,c@d"])
def test_what_is_no_mail_address_is_refused(mail: str) -> None:
    body = f'user: {{name: a, email: "{quoted(mail)}"}}'
    assert wrong("user.provision", body) == [(3, "user.email")]


@pytest.mark.parametrize("text", ["a\nb", "a\0", "\x1b[2J", "\x7f", "\x9b2J", "x" * 501], ids=ascii)
@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('user: {name: a}\nid: "%s"', "id"),
        ('user: {name: a}\norder: {number: 1, key: "%s"}', "order.key"),
    ],
)
def test_what_programs_compare_is_one_line_or_refused(body: str, key: str, text: str) -> None:
    assert [found for _, found in wrong("user.provision", body % quoted(text))] == [key]


@pytest.mark.parametrize(("length", "refused"), [(501, False), (8000, False), (8001, True)])
@pytest.mark.parametrize("key", ["specs", "user_specs"])
def test_limits_of_slurm_may_be_as_long_as_all_lists_of_a_site(
    key: str, length: int, refused: bool
) -> None:
    text = "GrpTRES=" + "x" * (length - 8)
    body = f"allocation: {{id: 1, resource: a, project: {{code: A}}, slurm: {{{key}: {text}}}}}"
    told = [found for _, found in wrong("allocation.provision", body)] if refused else []
    assert told == ([f"allocation.slurm.{key}"] if refused else [])
    if not refused:
        parse_request(f"provisioner: 1\naction: allocation.provision\n{body}\n".encode())


@pytest.mark.parametrize("number", ["1_0", "1.0", " 1", "-1"])
@pytest.mark.parametrize(
    ("action", "body", "key"),
    [
        ("user.suspend", 'user: {name: a}\norder: {key: a, number: "%s"}', "order.number"),
        (
            "allocation.provision",
            'allocation: {id: 1, resource: a, project: {code: c}, quota: {files: "%s"}}',
            "allocation.quota.files",
        ),
        (
            "allocation.suspend",
            'allocation: {id: 1, slurm: {fairshare: "%s"}}',
            "allocation.slurm.fairshare",
        ),
        (
            "reconcile",
            f'manifest: {{file: a, size: "%s", sha256: "{"0" * 64}"}}',
            "manifest.size",
        ),
    ],
)
def test_a_number_is_written_in_digits(action: str, body: str, key: str, number: str) -> None:
    assert [found for _, found in wrong(action, body % number)] == [key]


def test_a_reason_may_have_lines() -> None:
    text = "provisioner: 1\naction: user.suspend\nuser: {name: a}\nreason: |\n  one\n  \ttwo\n"
    assert parse_request(text.encode()).reason == "one\n\ttwo\n"


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 150, "x" * 151, "\xe9" * 150], ids=ascii)
def test_every_person_of_a_portal_has_a_name_that_a_request_takes(name: str) -> None:
    person = as_person(name)
    if name:
        line = f'action: reconcile\non_behalf_of: "{person}"\n'
        assert parse_request(f"provisioner: 1\n{line}".encode()).on_behalf_of == person
    else:
        assert person == ""


def test_different_persons_have_different_names_and_plain_ones_their_own() -> None:
    names = ["jdoe", "J.Doe@campus", "\xe9" * 150, "\xe9" * 149 + "x", "a b", "a_b", "a\tb"]
    assert len({as_person(name) for name in names}) == len(names)
    assert [as_person(name) for name in names[:2]] == names[:2]
