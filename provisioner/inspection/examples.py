"""An example configuration, made from the descriptions of every option.

Promises: it loads unchanged, and so does each of its parts after its `#` are removed. Leaves out:
how the options work together (docs/configuration.md).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provisioner.config.drift import DriftConfig
from provisioner.config.idle import IdleConfig, SourceConfig
from provisioner.config.keeping import BackupConfig, ManifestsConfig, RetentionConfig, RolesConfig
from provisioner.config.metrics import MetricsConfig
from provisioner.config.notify import HookConfig, MailConfig, NotifyConfig
from provisioner.config.policy import PolicyConfig, RuleConfig, SignaturesConfig
from provisioner.config.quota import QuotaConfig
from provisioner.config.schema import Config, LaneConfig, ResourceConfig, StepConfig
from provisioner.request.documents import dump
from provisioner.wiring import HANDLERS

_WIDTH = 98

_HEAD = """\
# Every option of provisioner.yaml, with its default, or else an example. Remove the `# ` before
# what you need; `provisioner config check` says whether the file is correct.
"""


def example() -> str:
    """Return a commented configuration with every option and every handler's settings."""
    parts = {
        "policy": _policy(),
        "handlers": [
            line
            for kind, settings in handler_settings().items()
            for line in _named(f"{kind}-a", [f"use: {kind}", *_options(settings)])
        ],
        "resources": _named("cluster-a", _options(ResourceConfig)),
        "lanes": _named("slurm", _options(LaneConfig)),
        "drift": _options(DriftConfig),
        "backup": _options(BackupConfig),
        "manifests": _options(ManifestsConfig),
        "roles": _options(RolesConfig),
        "retention": _options(RetentionConfig),
        "notify": _notify(),
        "quota": _options(QuotaConfig),
        "idle": _idle(),
        "metrics": _options(MetricsConfig),
        "routes": _named("user.provision", _item(_options(StepConfig))),
    }
    lines: list[str] = []
    for name, field in Config.model_fields.items():
        if name in parts:
            hidden = (f"  # {line}" for line in parts[name])
            lines += ["", *_comment(field), f"{name}:", *hidden]
        else:
            lines += ["", *_option(name, field, _default(field))]
    return _HEAD + "\n".join(lines) + "\n"


def _policy() -> list[str]:
    """Return the options of policy, with those of one rule."""
    lines: list[str] = []
    for name, field in PolicyConfig.model_fields.items():
        if name == "rules":
            lines += [*_comment(field), *_named(name, _item(_options(RuleConfig)))]
        elif name == "signatures":
            lines += [*_comment(field), *_named(name, _options(SignaturesConfig))]
        else:
            lines += _option(name, field, _default(field))
    return lines


def _notify() -> list[str]:
    """Return the options of messages, with those of mail and of the hook."""
    parts: dict[str, type[BaseModel]] = {"mail": MailConfig, "hook": HookConfig}
    lines: list[str] = []
    for name, field in NotifyConfig.model_fields.items():
        if name in parts:
            lines += [*_comment(field), *_named(name, _options(parts[name]))]
        else:
            lines += _option(name, field, _default(field))
    return lines


def _idle() -> list[str]:
    """Return the options of idle people, with those of one source."""
    lines: list[str] = []
    for name, field in IdleConfig.model_fields.items():
        if name == "sources":
            lines += [*_comment(field), *_named(name, _named("vpn", _options(SourceConfig)))]
        else:
            lines += _option(name, field, _default(field))
    return lines


def handler_settings() -> Mapping[str, type[BaseModel]]:
    """Return the settings model of each installed kind of handler that has one, by kind."""
    models = {}
    for point in sorted(entry_points(group=HANDLERS), key=lambda point: point.name):
        settings = getattr(__import__(point.module, fromlist=["Settings"]), "Settings", None)
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            models[point.name] = settings
    return models


def _named(name: str, lines: list[str]) -> list[str]:
    return [f"{name}:", *(f"  {line}" for line in lines)]


def _item(lines: list[str]) -> list[str]:
    """Return options as the only item of a list."""
    return ["-", *(f"  {line}" for line in lines)]


def _options(model: type[BaseModel], values: BaseModel | None = None) -> list[str]:
    """Return every option of a model. values: used for options without an example."""
    lines: list[str] = []
    for name, field in model.model_fields.items():
        value = _default(field) if values is None else getattr(values, name)
        lines += _option(field.alias or name, field, value)
    return lines


def _option(name: str, field: FieldInfo, default: Any) -> Iterator[str]:
    shown = (
        field.examples[0]
        if field.examples and default in (None, (), "", PydanticUndefined)
        else default
    )
    differs = default is not PydanticUndefined and shown is not default
    yield from _comment(field, f"default: {_inline(default)}" if differs else "")
    if isinstance(shown, BaseModel):
        yield from _named(name, _options(type(shown), shown))
    else:
        yield f"{name}: {_inline(shown)}"


def _comment(field: FieldInfo, more: str = "") -> list[str]:
    text = "; ".join(part for part in (field.description or "", more) if part)
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH - 12, break_on_hyphens=False)]


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not None:
        return field.get_default(call_default_factory=True, validated_data={})
    return field.default


def _inline(value: Any) -> str:
    """Return a value as YAML in one line."""
    if value is PydanticUndefined:
        return "..."
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, str | int | float | bool | None):
        return dump(value).strip()
    return "{}" if isinstance(value, Mapping) else dump(str(value)).strip()
