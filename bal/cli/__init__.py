"""The command `bal`: one file per verb, for people by default and for machines with `--json`."""

import json
import sys

import click
import typer

from bal.core.errors import EXIT_UNUSABLE, BalError

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
        pki,
        readings,
        rejections,
        run,
        simulate,
        sources,
        users,
        verify,
    )

    for verb in (demo, run, ingest, readings, certificate, verify, audit, erase, rejections, bench, doctor):
        verb.register(app)
    for group in (anchors, sources, clients, users, pki, config, simulate):
        app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def main() -> None:
    """Run the command line; errors go to standard error, in JSON with `--json`."""
    _register()
    try:
        code = app(standalone_mode=False)
    except BalError as error:
        text = json.dumps(error.problem()) if "--json" in sys.argv else f"bal: {error.diagnostics()}"
        typer.echo(text, err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_UNUSABLE)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
