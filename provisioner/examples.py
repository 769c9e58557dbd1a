"""An example configuration, made from the descriptions of every option."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from provisioner.config import Config, LaneConfig, ResourceConfig, StepConfig
from provisioner.documents import dump
from provisioner.wiring import HANDLERS


def example() -> str:
    """Return a commented configuration with every option and every handler's settings."""
    lines = ["# Every option of provisioner.yaml, with its default where it has one."]
    for name, field in Config.model_fields.items():
        lines += ["", *_comment(field.description, "")]
        if name == "handlers":
            lines.append("handlers:")
            lines += _handlers()
        elif name == "resources":
            lines += ["resources:", "  # cluster-a:", *_options(ResourceConfig, "  #   ")]
        elif name == "lanes":
            lines += ["lanes:", "  # slurm:", *_options(LaneConfig, "  #   ")]
        elif name == "routes":
            lines += ["routes:", "  # user.provision:", *_options(StepConfig, "  #     ")]
        else:
            lines.append(_option(name, field))
    return "\n".join(lines) + "\n"


def _handlers() -> list[str]:
    lines = []
    for point in sorted(entry_points(group=HANDLERS), key=lambda p: p.name):
        settings = getattr(__import__(point.module, fromlist=["Settings"]), "Settings", None)
        lines += [f"  # my-{point.name}:", f"  #   use: {point.name}"]
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            lines += _options(settings, "  #   ")
    return lines


def _options(model: type[BaseModel], indent: str) -> list[str]:
    lines = []
    for name, field in model.model_fields.items():
        lines += _comment(field.description, indent)
        lines.append(indent + _option(field.alias or name, field))
    return lines


def _comment(description: str | None, indent: str) -> list[str]:
    mark = indent if indent.lstrip().startswith("#") else indent + "# "
    return [f"{mark}{'# ' if mark is indent else ''}{description}"] if description else []


def _option(name: str, field: Any) -> str:
    if field.examples:
        value = field.examples[0]
    elif field.default is not PydanticUndefined:
        value = field.default
    elif field.default_factory is not None:
        value = field.default_factory()
    else:
        return f"{name}: ..."
    if isinstance(value, str | int | float | bool | None):
        return f"{name}: {dump(value).strip()}"
    if isinstance(value, list | tuple):
        return f"{name}: [{', '.join(dump(v).strip() for v in value)}]"
    return f"{name}: {{}}"
