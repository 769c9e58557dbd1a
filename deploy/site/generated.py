"""Pages of the site that are made from the code, and the project's own pages beside `docs/`.

Promises: the reference of requests and of the configuration is what the code says on the day when
the site is built. Leaves out: what a person wrote (`docs/`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provisioner.drafts.blanks import blank
from provisioner.inspection.examples import example
from provisioner.request.actions import ACTIONS
from provisioner.request.request import json_schema

ROOT = Path(__file__).resolve().parents[2]

PROJECT = ("CHANGELOG", "CONTRIBUTING", "SECURITY", "STYLE")
"""Pages at the top of the checkout."""

_LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name all decisions in the navigation."""
    decisions = sorted(path.name for path in (ROOT / "docs/adr").glob("*.md"))
    nav: list[Any] = list(config.nav or ())
    nav.insert(-1, {"Decisions": [f"adr/{name}" for name in decisions]})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code, and those of the project."""
    made = {
        "reference/requests.md": requests(),
        "reference/request.schema.json": json.dumps(json_schema(), indent=1),
        "reference/configuration.md": configuration(),
        "reference/handlers.md": handlers(),
        **{f"project/{name}.md": (ROOT / f"{name}.md").read_text() for name in PROJECT},
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links between `docs/` and the top of the checkout to their pages."""
    here = page.file.src_uri
    project = here.startswith("project/")

    def moved(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        if project and target.startswith("docs/"):
            target = f"../{target.removeprefix('docs/')}"
        elif target.startswith("../") and Path(target).stem in PROJECT:
            target = f"project/{Path(target).name}"
        return f"]({target}{anchor})"

    return _LINK.sub(moved, text)


def requests() -> str:
    """Return a page with a blank request of each action."""
    parts = [
        "# Every key of every action\n",
        "Made from the code. [The format](../request-format.md) says what requests mean; "
        "`provisioner new ACTION` writes these, and [the JSON Schema](request.schema.json) "
        "completes them in an editor.\n",
    ]
    for action in sorted(ACTIONS):
        parts.append(f"## {action}\n\n```yaml\n{blank(action).rstrip()}\n```\n")
    return "\n".join(parts)


def configuration() -> str:
    """Return a page with every option of the configuration."""
    return (
        "# Every option\n\nMade from the code. [Configuration](../configuration.md) says how the "
        f"options work together.\n\n```yaml\n{example().rstrip()}\n```\n"
    )


def handlers() -> str:
    """Return a page with the settings and the parameters of every handler."""
    parts = ["# Settings and parameters of each handler\n", "Made from the code.\n"]
    for point in sorted(entry_points(group="provisioner.handlers"), key=lambda one: one.name):
        module = __import__(point.module, fromlist=["Settings"])
        promise = " ".join((module.__doc__ or "").partition("\n\n")[0].split())
        parts += [f"## {point.name}\n", f"{promise}\n"]
        for name, what in (("Settings", "Setting"), ("Params", "Parameter of a step")):
            model = getattr(module, name, None)
            if isinstance(model, type) and issubclass(model, BaseModel):
                parts.append("\n".join(_table(what, model.model_fields)) + "\n")
    return "\n".join(parts)


def _table(what: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    yield f"| {what} | Default | Meaning |"
    yield "|---|---|---|"
    for name, field in fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        yield f"| `{field.alias or name}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined or field.default in (None, (), "", {}):
        return ""
    return f"`{field.default}`"
