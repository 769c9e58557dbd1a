"""The configuration: which handlers, resources and routes a site has.

Promises: one schema with a description of every option; all errors of a file at once, with lines.
Leaves out: whether the backends exist (`doctor`), and building anything (`wiring`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from provisioner.config import keeping
from provisioner.config.drift import DriftConfig
from provisioner.config.idle import IdleConfig
from provisioner.config.keeping import BackupConfig, ManifestsConfig, RetentionConfig, RolesConfig
from provisioner.config.metrics import MetricsConfig
from provisioner.config.notify import Event, NotifyConfig
from provisioner.config.part import Part
from provisioner.config.policy import PolicyConfig
from provisioner.config.quota import QuotaConfig
from provisioner.contract import ConfigError
from provisioner.request import fields
from provisioner.request.documents import Document, InvalidDocument, Problem, parse
from provisioner.request.places import Path as Place
from provisioner.request.request import places_of, problems_of

SIZE = 1024 * 1024
"""The most bytes of a configuration."""

_EXPECTED = "a configuration, as `provisioner config example` prints one"

DEFAULT_PATH = Path("/etc/provisioner/provisioner.yaml")
DEFAULT_ROUTES = Path(__file__).with_name("default_routes.yaml")

RouteAction = Literal[
    "user.provision", "project.provision", "allocation.provision", "membership.add"
]


class StepConfig(Part):
    """One step of a route."""

    name: str = Field(
        description="name, for `needs`, `steps.NAME.output` and results",
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        examples=["home"],
    )
    handler: str = Field(
        description="an instance's name, or a kind; a kind means the resource's instance of that "
        "kind, or else the only one that no resource names",
        examples=["home_directory"],
    )
    needs: tuple[str, ...] = Field((), description="steps that must be done first")
    each: Literal["user"] | None = Field(
        None, description="`user`: once for each user of the request, bound to `user`"
    )
    when: str | None = Field(None, description="an expression; the step is left out if it is false")
    optional: bool = Field(False, description="left out if no instance serves it")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="the handler's parameters"
    )


class HandlerConfig(BaseModel):
    """One instance of a handler; all keys except `use` are the handler's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(description="the kind of handler, as `provisioner handlers` lists them")

    @property
    def settings(self) -> dict[str, object]:
        """Return the handler's own settings."""
        return dict(self.__pydantic_extra__ or {})


class ResourceConfig(Part):
    """What a request's `resource` may name."""

    handlers: tuple[str, ...] = Field(description="instances that serve it", examples=[["slurm-a"]])
    settings: dict[str, Any] = Field(
        default_factory=dict, description="free values for expressions: `{{ resource.NAME }}`"
    )


class LaneConfig(Part):
    """How long a lane keeps trying what does not converge, and how much it takes at once."""

    first: float = Field(2.0, gt=0, description="seconds until the first next try; doubles")
    most: float = Field(900.0, gt=0, description="most seconds between tries")
    tries: int = Field(8, ge=1, description="how often a backend may refuse")
    days: float = Field(7.0, gt=0, description="how long an object may stay not ready")
    batch: int = Field(2000, ge=1, le=10000, description="objects taken at once")


class AgentConfig(Part):
    """Where `provisioner-agent` answers: a command or a socket."""

    agent: tuple[str, ...] | None = Field(
        None,
        description="command that starts it",
        examples=[["ssh", "root@fileserver", "provisioner-agent"]],
    )
    socket: Path | None = Field(
        None, description="socket that starts it", examples=["/run/provisioner/agent.sock"]
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(f"must be exactly one of: {', '.join(type(self).model_fields)}")
        return self

    @property
    def address(self) -> str:
        """Return the socket's path, or the command as a shell would read it."""
        return shlex.join(self.agent) if self.agent else str(self.socket)

    def below(self, base: Path) -> Self:
        """Return the settings with relative paths resolved against a directory."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        paths = {name: base / path for name, path in named.items() if isinstance(path, Path)}
        return self.model_copy(update=paths)


class HostConfig(AgentConfig):
    """A host other than this one: an agent's, or an emulated one."""

    emulated: Path | None = Field(
        None, description="directory that records what only root could do"
    )


class Config(Part):
    """The whole configuration. Paths may be relative to the file."""

    service: str = Field(
        description="this provisioner's name; it is in every mark left in a backend",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
        examples=["hpc1"],
    )
    spool: Path = Field(
        description="directory where requests are dropped, and kept when they are over",
        examples=["/var/spool/provisioner"],
    )
    journal: keeping.Place = Field(
        description="the database: a file on a local disk, or the address of one in PostgreSQL",
        examples=["/var/lib/provisioner/journal.db"],
    )
    mode: Literal["converge", "observe"] = Field(
        "converge",
        description="`observe`: accept requests, read every backend, write to none, and report "
        "each day what the service would do, until a person has released the journal",
    )
    templates: tuple[Path, ...] = Field((), description="searched before the shipped templates")
    secrets: dict[str, Path] = Field(
        default_factory=dict,
        description="name -> file with one line; a systemd credential of that name wins",
    )
    staging_group: str | None = Field(None, description="group that may drop requests")
    policy: PolicyConfig = Field(
        default_factory=PolicyConfig, description="who may ask for what; root may do everything"
    )
    host: Literal["real"] | HostConfig = Field("real", description="where homes are made")
    agents: dict[str, AgentConfig] = Field(
        default_factory=dict,
        description="more agents, to run tools: `agent:NAME` as the first word of a program",
    )
    site: dict[str, Any] = Field(
        default_factory=dict, description="free values for expressions: `{{ site.NAME }}`"
    )
    handlers: dict[str, HandlerConfig] = Field(
        default_factory=dict, description="instances; the name begins the keys of their objects"
    )
    resources: dict[str, ResourceConfig] = Field(
        default_factory=dict, description="what a request's `resource` may name"
    )
    lanes: dict[str, LaneConfig] = Field(
        default_factory=dict, description="by lane, as `provisioner queue` lists them"
    )
    drift: DriftConfig = Field(
        default_factory=DriftConfig,
        description="when the service compares each backend with what is wanted, by itself",
    )
    backup: BackupConfig = Field(
        default_factory=BackupConfig, description="copies of the journal, and its redo log"
    )
    manifests: ManifestsConfig = Field(
        default_factory=ManifestsConfig, description="limits of manifests"
    )
    roles: RolesConfig = Field(
        default_factory=RolesConfig,
        description="for `run --intake` and `run --lanes`, on several hosts",
    )
    retention: RetentionConfig = Field(
        default_factory=RetentionConfig, description="how long finished requests are kept"
    )
    notify: NotifyConfig = Field(
        default_factory=NotifyConfig, description="who is told what happened, by mail or a program"
    )
    quota: QuotaConfig = Field(
        default_factory=QuotaConfig, description="when people are warned that a quota fills"
    )
    idle: IdleConfig = Field(
        default_factory=IdleConfig, description="when people who use nothing are warned and closed"
    )
    metrics: MetricsConfig = Field(
        default_factory=MetricsConfig, description="where Prometheus reads metrics"
    )
    routes: dict[RouteAction, tuple[StepConfig, ...]] = Field(
        default_factory=dict, description="routes that replace the shipped route of an action"
    )

    @model_validator(mode="after")
    def _repairs_unsigned(self) -> Self:
        signatures = self.policy.signatures
        if self.drift.repair and signatures is not None and signatures.required:
            raise ValueError(
                "has `drift.repair` and `policy.signatures.required`: the service does not sign "
                "its own requests; set `drift.repair: false`, and repair by `provisioner drift "
                "--repair --sign KEY`"
            )
        return self

    @model_validator(mode="after")
    def _idle_in_silence(self) -> Self:
        if self.idle.after is None:
            return self
        told = bool(self.notify.channels) and Event.IDLE_WARNING in self.notify.events
        if not told:
            raise ValueError(
                "has `idle.after`, and no way to warn people: set `notify.mail` or `notify.hook`, "
                "and leave idle_warning in `notify.events`"
            )
        signatures = self.policy.signatures
        if signatures is not None and signatures.required:
            raise ValueError(
                "has `idle.after` and `policy.signatures.required`: the service does not sign its "
                "own requests; `provisioner idle` shows whom to suspend"
            )
        return self

    @property
    def backup_directory(self) -> Path:
        """Return where copies of the journal and its redo log are kept."""
        return self.backup.directory or keeping.beside(self.journal, self.spool) / "backup"

    @property
    def journal_places(self) -> tuple[Path, ...]:
        """Return the directories on whose disks each transaction of the journal is written here."""
        own = (self.journal.parent,) if isinstance(self.journal, Path) else ()
        return *own, self.backup_directory

    @property
    def host_kind(self) -> tuple[str, str]:
        """Return the kind of host and its argument."""
        if isinstance(self.host, HostConfig):
            if self.host.emulated is None:
                return "agent", self.host.address
            return "emulated", str(self.host.emulated)
        return "real", ""

    @property
    def agent_addresses(self) -> dict[str, str]:
        """Return the agents' addresses by the first word of the programs that each runs."""
        found = {f"agent:{name}": agent.address for name, agent in self.agents.items()}
        kind, address = self.host_kind
        return {**found, "agent": address} if kind == "agent" else found

    def secret(self, name: str) -> str:
        """Return a secret: a systemd credential of that name, or the configured file.

        Raises ConfigError that names the secret, never its value.
        """
        files = [self.secrets[name]] if name in self.secrets else []
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and "/" not in name:
            files.insert(0, Path(credentials, name))
        for file in files:
            try:
                value = file.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                continue
            except UnicodeDecodeError:
                raise ConfigError(f"secret {name}: {file} is not UTF-8 text") from None
            except OSError as error:
                raise ConfigError(f"secret {name}: {file}: {error.strerror}") from None
            if not value:
                # Many directories treat a bind with an empty password as anonymous.
                raise ConfigError(f"secret {name}: {file} is empty")
            return value
        raise ConfigError(
            f"there is no secret {name}",
            advice=f"set its file under `secrets` in the configuration: {name}: /PATH",
        )


def find() -> Path:
    """Return the configuration's path: $PROVISIONER_CONFIG, or the default."""
    return Path(os.environ.get("PROVISIONER_CONFIG") or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Return the configuration in a file.

    Raises ConfigError with every problem, each with its line.
    """
    read = examined(path)
    if read.problems or read.config is None:
        problems = "\n".join(f"  {problem}" for problem in read.problems)
        raise ConfigError(f"{path} is wrong:\n{problems}")
    return read.config


@dataclass(frozen=True, slots=True)
class Examined:
    """A file, read. config: what its right keys say; None if they make no configuration; wrong: the
    places of the others.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    lines: Mapping[Place, int]
    wrong: frozenset[Place] = frozenset()


def examined(path: Path) -> Examined:
    """Return a configuration with every problem of its form. Raises ConfigError without a file."""
    try:
        document = _read(path)
    except InvalidDocument as error:
        return Examined(None, error.problems, {})
    value = _untexted(document.value)
    problems: tuple[Problem, ...] = ()
    wrong: frozenset[Place] = frozenset()
    try:
        config: BaseModel | None = Config.model_validate(value)
    except ValidationError as error:
        problems = tuple(problems_of(error, document, Config))
        wrong = places_of(error, document)
        config = fields.repaired(Config, value, wrong)
    base = path.resolve().parent
    whole = _absolute(config, base) if isinstance(config, Config) else None
    return Examined(whole, problems, document.lines, wrong)


def _read(path: Path) -> Document:
    try:
        return parse(path.read_bytes(), size=SIZE, expected=_EXPECTED)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration {path}",
            advice="`provisioner config example` prints one; --config FILE names another",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _untexted(value: Any) -> Any:
    """Return keys that have a value: a named option without a value gets its default."""
    if isinstance(value, dict):
        return {key: _untexted(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_untexted(inner) for inner in value]
    return value


def _absolute(config: Config, base: Path) -> Config:
    host = config.host if config.host == "real" else config.host.below(base)
    return config.model_copy(
        update={
            "spool": base / config.spool,
            "journal": keeping.below(config.journal, base),
            "backup": config.backup.below(base),
            "policy": config.policy.below(base),
            "notify": config.notify.below(base),
            "metrics": config.metrics.below(base),
            "templates": tuple(base / path for path in config.templates),
            "secrets": {name: base / path for name, path in config.secrets.items()},
            "host": host,
            "agents": {name: agent.below(base) for name, agent in config.agents.items()},
        }
    )


@cache
def default_routes() -> Mapping[str, tuple[StepConfig, ...]]:
    """Return the shipped routes."""
    steps = StepConfig.model_validate
    shipped = _read(DEFAULT_ROUTES).value
    return {action: tuple(map(steps, route)) for action, route in shipped.items()}
