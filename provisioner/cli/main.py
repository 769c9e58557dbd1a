"""The program `provisioner`: finds the configuration, runs a verb, exits with a documented code.

Promises: a fault is printed as its own message with what to do next, never as a traceback. Leaves
out: what the verbs do (the modules beside it).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import typer

from provisioner.cli import (
    asking,
    auditing,
    completing,
    control,
    editing,
    failed,
    health,
    helping,
    idle,
    inheriting,
    listing,
    mail,
    many,
    moving,
    queue,
    quota,
    reading,
    recovery,
    removing,
    serving,
    site,
    submitting,
    top,
)
from provisioner.cli.exits import Exit
from provisioner.contract import ConfigError, Fault, InvalidRequest, Refused, Unavailable
from provisioner.system import disks


class _Verbs(helping.Verbs):
    """All verbs. A closed pipe, as with `| head`, is not an error of any verb."""

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="provisioner",
    cls=_Verbs,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Carries out requests: homes, AD and AD LDS accounts, GPFS filesets, Slurm accounts.",
    epilog="Exit codes: 0 ok, 1 a request failed or a check found an error, 2 usage, 3 the request "
    "is wrong, 4 the configuration is wrong, 5 a backend or the service did not answer, 6 done, "
    "but it found nothing to do.",
)
for module in (
    *(serving, submitting, many, asking, queue, top, failed, reading, listing, quota, idle),
    *(auditing, control, editing, moving, recovery, inheriting, mail, health, removing),
):
    module.register(app)
for module in (completing, helping):  # the last, because they are about all the others
    module.register(app)


def _version(asked: bool) -> None:
    if asked:
        print(f"provisioner {metadata.version('hpc-provisioner')}")
        raise typer.Exit(Exit.OK)


@app.callback()
def _options(
    config: str = typer.Option(
        "",
        "--config",
        metavar="FILE",
        help="the configuration, before or after the verb; else $PROVISIONER_CONFIG, "
        f"else {site.DEFAULT}",
    ),
    version: bool = typer.Option(
        False, "--version", "-V", is_eager=True, callback=_version, help="print the version"
    ),
) -> None:
    """Accept the options that every verb has."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may have characters the terminal lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        if completing.ASKED in os.environ:
            completing.prepare(_take_config)
        words = list(sys.argv[1:] if argv is None else argv)
        _check_text(words)
        words = _take_config(words)
        _program()(words or ["--help"], prog_name="provisioner", standalone_mode=True)
    except ConfigError as error:
        _end(error, Exit.FAILED if error.passing else Exit.CONFIG)
    except (InvalidRequest, Refused) as error:
        _end(error, Exit.INVALID)
    except Unavailable as error:
        _end(error, Exit.AWAY)
    except Fault as error:
        _end(error, Exit.FAILED)
    except OSError as error:
        message = f"{error.filename or 'the system'}: {error.strerror}"
        _end(Fault(message, advice=disks.advice(error)), Exit.FAILED)


@cache
def _program() -> Callable[..., Any]:
    """Return the program with all its verbs, which takes longer to make than most verbs to run."""
    return typer.main.get_command(app)


def _check_text(words: Sequence[str]) -> None:
    """Exit if an argument is not UTF-8: no name, id or reason is anything else; a file may be."""
    for word in words:
        plain = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if plain != word and not os.path.lexists(word):
            site.say(f"provisioner: the argument '{plain}' is not UTF-8", file=sys.stderr)
            sys.exit(Exit.USAGE)


def _take_config(arguments: list[str]) -> list[str]:
    """Move `--config FILE` from any position into the environment; return the other arguments."""
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, file = word.partition("=")
        if option == "--config":
            file = file if equals else next(words, "")
            if not file:
                print("provisioner: --config needs a FILE", file=sys.stderr)
                sys.exit(Exit.USAGE)
            os.environ["PROVISIONER_CONFIG"] = file
        else:
            rest.append(word)
        if word == "--":
            rest += words
    return rest


def _end(error: Fault, code: Exit) -> None:
    text = error.message
    if isinstance(error, InvalidRequest):
        text += f"; expected {error.expected}" if error.expected else ""
        text += f"; did you mean {error.nearest!r}?" if error.nearest else ""
    if error.advice:
        text += f"\nwhat to do: {error.advice}"
    first, *more = text.splitlines()
    site.say(
        "\n".join([f"provisioner: {first}", *(f"  {line.strip()}" for line in more)]),
        file=sys.stderr,
    )
    sys.exit(code)
