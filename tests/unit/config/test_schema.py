"""The configuration: every problem at once, paths beside the file, secrets never told."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from provisioner.config.schema import Config, LaneConfig, default_routes, find, load
from provisioner.contract import ConfigError
from provisioner.inspection.examples import example
from provisioner.wiring import HANDLERS, build

LEAST = "service: hpc1\nspool: spool\njournal: journal.db\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "provisioner.yaml"


def loaded(file: Path, more: str = "", *, least: str = LEAST) -> Config:
    file.write_text(least + more)
    return load(file)


def complaint(file: Path, text: str) -> list[str]:
    """List the problems of a configuration, one a line, below a line that names the file."""
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file)
    first, *rest = raised.value.message.splitlines()
    assert first == f"{file} is wrong:"
    return [line.strip() for line in rest]


# What is right.


def test_the_least_configuration(file: Path) -> None:
    config = loaded(file)
    assert (config.service, config.handlers, config.routes) == ("hpc1", {}, {})
    assert config.host_kind == ("real", "")


def test_paths_are_relative_to_the_file(file: Path) -> None:
    config = loaded(
        file,
        "templates: [mine, /etc/t]\nsecrets: {a: secrets/a, b: /run/b}\nhost: {emulated: host}\n",
    )
    here = file.parent
    assert (config.spool, config.journal) == (here / "spool", here / "journal.db")
    assert config.templates == (here / "mine", Path("/etc/t"))
    assert config.secrets == {"a": here / "secrets/a", "b": Path("/run/b")}
    assert config.host_kind == ("emulated", str(here / "host"))


def test_an_address_of_a_server_is_no_path(file: Path) -> None:
    address = "postgresql:///provisioner?host=/run/postgresql"
    config = loaded(file, least=LEAST.replace("journal.db", address))
    backup = file.parent / "backup"
    assert config.journal == address
    assert (config.backup_directory, config.journal_places) == (backup, (backup,))


@pytest.mark.parametrize(
    "address",
    ["postgresql://me:geheim@host/a", "postgres:///a?password=geheim", "postgresql://[geheim"],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(file: Path, address: str) -> None:
    [problem] = complaint(file, LEAST.replace("journal.db", f"'{address}'"))
    assert problem.startswith("line 3: journal: ")
    assert "geheim" not in problem


def test_a_linked_file_counts_from_where_it_lies(file: Path, tmp_path: Path) -> None:
    file.write_text(LEAST)
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc/linked.yaml"
    link.symlink_to(file)
    assert load(link).spool == tmp_path / "spool"


@pytest.mark.parametrize(
    "more",
    [
        "handlers:\n",
        "staging_group:\n",
        "lanes: {slurm: {first: }}\n",
        "routes:\n  user.provision:\n    - {name: a, handler: b, needs: , with: }\n",
    ],
)
def test_an_option_that_is_named_and_empty_has_its_default(file: Path, more: str) -> None:
    config = loaded(file, more)
    assert config.handlers == {}
    assert config.lanes.get("slurm", LaneConfig()) == LaneConfig()
    assert [step.needs for route in config.routes.values() for step in route] in ([], [()])


def test_a_handlers_settings_are_its_own_and_stay_text(file: Path) -> None:
    config = loaded(file, "handlers: {slurm-a: {use: slurm, cluster: 017, flag: no, empty: }}\n")
    assert config.handlers["slurm-a"].use == "slurm"
    assert config.handlers["slurm-a"].settings == {"cluster": "017", "flag": "no"}


@pytest.mark.parametrize("path", ["/a/b.yaml", None, ""])
def test_the_file_is_named_by_the_environment_or_the_usual_one(
    path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVISIONER_CONFIG", raising=False)
    if path is not None:
        monkeypatch.setenv("PROVISIONER_CONFIG", path)
    assert find() == Path(path or "/etc/provisioner/provisioner.yaml")


# What is wrong.


def test_every_problem_is_told_at_once_with_its_line(file: Path) -> None:
    text = """\
service: a b
spol: spool
journal: journal.db
handlers:
  b: {cluster: a}
lanes:
  slurm:
    tries: 0
    firts: 1
routes:
  user.provison: []
  user.provision:
    - name: Home
      handler: b
      each: users
      neds: [a]
"""
    found = [
        re.match(r"line (\d+): ([^:]+): .*?(?:did you mean '(.*)'\?)?$", line)
        for line in complaint(file, text)
    ]
    assert [match and match.groups() for match in found] == [
        ("1", "service", None),
        ("1", "spool", None),
        ("2", "spol", "spool"),
        ("5", "handlers.b.use", None),
        ("8", "lanes.slurm.tries", None),
        ("9", "lanes.slurm.firts", "first"),
        ("11", "routes.user.provison", "user.provision"),
        ("13", "routes.user.provision[1].name", None),
        ("15", "routes.user.provision[1].each", "user"),
        ("16", "routes.user.provision[1].neds", "needs"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "service: 'a b'\nspool: a\njournal: b",
            "line 1: service: 'a b' does not match ^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$; "
            "expected this provisioner's name; it is in every mark left in a backend, such as hpc1",
        ),
        (
            LEAST + "lanes: {slurm: {batch: many}}",
            "line 4: lanes.slurm.batch: 'many' is not a whole number; expected a whole "
            "number from 1 to 10000",
        ),
        (
            LEAST + "resources: {a: {handlrs: [b], handlers: [b]}}",
            "line 4: resources.a.handlrs: unknown key; expected one of handlers, settings; "
            "did you mean 'handlers'?",
        ),
    ],
)
def test_a_problem_says_what_was_expected(file: Path, text: str, problem: str) -> None:
    assert complaint(file, text) == [problem]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "line 2: this is not YAML"),
        ("", "line 1: the file is empty; expected a configuration, as `provisioner config"),
        ("# later", "line 1: there is no document; expected a configuration"),
        ("service: a\nservice: b", "line 2: service: the key is here and in line 1"),
        ("service: &a b\nspool: *a", "line 2: alias *a"),
    ],
)
def test_a_file_that_is_no_document_is_refused(file: Path, text: str, says: str) -> None:
    [problem] = complaint(file, text)
    assert problem.startswith(says)


def test_a_file_that_is_not_there_is_named_with_what_to_do(file: Path) -> None:
    with pytest.raises(ConfigError, match=str(file)) as raised:
        load(file)
    assert "provisioner config example" in raised.value.advice


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


# Secrets.


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory in which systemd would put credentials."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


@pytest.fixture
def config(file: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return loaded(file, "secrets: {ad: ad.txt}\n")


def test_a_secret_comes_from_its_file_without_its_line_end(config: Config) -> None:
    config.secrets["ad"].write_text("hunter2 é\n")
    assert config.secret("ad") == "hunter2 é"


def test_a_credential_comes_before_the_file(config: Config, credentials: Path) -> None:
    config.secrets["ad"].write_text("from the file")
    (credentials / "ad").write_text("from systemd")
    assert config.secret("ad") == "from systemd"


def test_a_credential_needs_no_file(config: Config, credentials: Path) -> None:
    (credentials / "lds").write_text("from systemd")
    assert config.secret("lds") == "from systemd"


def test_the_file_serves_where_there_is_no_such_credential(
    config: Config, credentials: Path
) -> None:
    config.secrets["ad"].write_text("from the file")
    assert config.secret("ad") == "from the file"


@pytest.mark.parametrize("name", ["ad", "other"])
def test_a_secret_that_is_nowhere_is_named_with_what_to_do(config: Config, name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no secret {name}") as raised:
        config.secret(name)
    assert f"{name}: /PATH" in raised.value.advice


def test_a_credential_is_no_path(config: Config, credentials: Path) -> None:
    (credentials.parent / "outside").write_text("hunter2")
    with pytest.raises(ConfigError, match="there is no secret"):
        config.secret("../outside")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"hunter2\xff", "is not UTF-8 text")],
)
def test_a_secret_that_cannot_be_one_is_refused_and_not_told(
    config: Config, content: bytes, says: str
) -> None:
    config.secrets["ad"].write_bytes(content)
    with pytest.raises(ConfigError, match=says) as raised:
        config.secret("ad")
    assert "hunter2" not in f"{raised.value} {raised.value.advice} {raised.value.__cause__}"


def test_a_secret_that_is_a_directory_is_refused(config: Config) -> None:
    config.secrets["ad"].mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        config.secret("ad")


# What is shipped.


def uncommented() -> str:
    """Return the example with every option in force, and only descriptions left as comments."""
    return re.sub(r"(?m)^  # ", "  ", example())


@pytest.mark.parametrize("text", [example(), uncommented()], ids=["as it is", "uncommented"])
def test_the_example_loads(file: Path, text: str) -> None:
    config = loaded(file, least=text)
    assert config.service == "hpc1"
    assert config.spool == Path("/var/spool/provisioner")


def test_the_example_has_every_option(file: Path) -> None:
    config = loaded(file, least=uncommented())
    written = {line.split(":")[0] for line in example().splitlines() if re.match(r"[a-z]", line)}
    assert written == set(Config.model_fields)
    assert config.lanes == {"slurm": LaneConfig()}
    [step] = config.routes["user.provision"]
    assert (step.name, step.handler) == ("home", "home_directory")


@pytest.mark.parametrize("kind", sorted(entry_points(group=HANDLERS).names))
def test_every_handler_of_the_example_can_be_built(file: Path, kind: str) -> None:
    config = loaded(file, least=uncommented())
    [section] = [section for section in config.handlers.values() if section.use == kind]
    alone = {"handlers": {"it": section}, "resources": {}, "routes": {}}
    assert build(config.model_copy(update=alone)).handlers["it"].lane


def test_the_shipped_routes_load() -> None:
    routes = default_routes()
    assert {*routes} == {
        "user.provision",
        "project.provision",
        "allocation.provision",
        "membership.add",
    }
    for route in routes.values():
        assert route
        assert all(step.optional for step in route)


def test_the_shipped_example_of_a_site_loads() -> None:
    config = load(Path(__file__).parents[3] / "deploy/examples/provisioner.yaml")
    assert {name for resource in config.resources.values() for name in resource.handlers} <= {
        *config.handlers
    }
