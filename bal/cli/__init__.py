"""The command `bal`: one file per verb, for people by default and for machines with `--json`."""

import json
import os
import sys
import traceback

import typer

from bal.core.errors import EXIT_UNUSABLE, BalError, Malformed, Unavailable

_INTERRUPTED = 130
_LEVEL = "BAL_LOG__LEVEL"

app = typer.Typer(
    name="bal",
    help="Blockchain Access Layer: certifies meter and PMU readings on a ledger several organisations run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _register() -> None:
    from bal.cli import (
        anchors,
        audit,
        bench,
        certificate,
        clients,
        config,
        demo,
        doctor,
        erase,
        ingest,
        keys,
        pki,
        readings,
        rejections,
        republish,
        run,
        scd,
        simulate,
        sources,
        stack,
        subscribers,
        users,
        verify,
    )

    for verb in (demo, run, ingest, readings, certificate, verify, audit, erase, republish, rejections):
        verb.register(app)
    for verb in (bench, doctor):
        verb.register(app)
    for group in (anchors, sources, subscribers, clients, users, pki, keys, config, scd, simulate, stack):
        app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def main() -> None:
    """Run the command line; errors go to standard error on one line, in JSON with `--json`."""
    try:
        _register()
        code = app(behind_the_verb(sys.argv[1:]), standalone_mode=False, prog_name="bal")
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever happened, its user gets one line and an exit code
        sys.exit(_tell(error))
    sys.exit(code if isinstance(code, int) else 0)


def behind_the_verb(arguments: list[str]) -> list[str]:
    """Return the arguments with `--home` and `--json`, the options all verbs share, moved from before the verb to behind."""
    taken = 0
    while taken < len(arguments) and arguments[taken].partition("=")[0] in {"--home", "--json"}:
        taken += 2 if arguments[taken] == "--home" else 1
    shared, rest = arguments[:taken], arguments[taken:]
    if not rest:
        return arguments
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *shared, *rest[end:]]


def _tell(error: Exception) -> int:
    """Say what went wrong; return the exit code."""
    if isinstance(error, ExceptionGroup):
        return _tell(_leaf(error))
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        if context is not None and error.message == context.get_help():  # nothing was asked for
            typer.echo(error.message, err=True)
            return EXIT_UNUSABLE
        verb = "bal" if context is None else context.command_path
        text = " ".join(error.format_message().split()).rstrip(".")
        error = Malformed(text, subject=verb.removeprefix("bal").strip(), remedy=f"see `{verb} --help`")
    elif not isinstance(error, BalError):
        error = _unexpected(error)
    line = json.dumps(error.problem()) if "--json" in sys.argv else f"bal: {error.diagnostics()}"
    typer.echo(line, err=True)
    return error.exit_code


def _leaf(group: ExceptionGroup[Exception]) -> Exception:
    """Return the most telling error of a group: one raised on purpose before any other."""
    found: list[Exception] = []
    waiting: list[Exception] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, ExceptionGroup):
            waiting += error.exceptions
        else:
            found.append(error)
    return next((error for error in found if isinstance(error, BalError)), found[0])


def _unexpected(error: Exception) -> BalError:
    if os.environ.get(_LEVEL) == "debug":
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:
        return Unavailable(error.strerror.lower(), subject=str(error.filename or ""))
    # The text of a stranger's error may quote what it was given, which may be a payload.
    message = f"unexpected {type(error).__name__}"
    return BalError(message, remedy=f"this is a fault of the BAL; {_LEVEL}=debug shows where")
