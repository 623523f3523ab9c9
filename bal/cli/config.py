"""`bal config`: the settings in force."""

import json
import tomllib
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.config import CONFIG_FILE, described, load
from bal.core.errors import Conflict

app = typer.Typer(
    help="Show the settings in force, or write a file with every setting to start from.", no_args_is_help=True
)


@app.command("show")
def show(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Show every setting in force: `bal.toml`, overridden by BAL_* in the environment."""
    settings = load(home_at(home).path).model_dump(mode="json")
    if as_json:
        print_json(settings)
    else:
        print_table(
            ["setting", "value", "what it does"],
            [[n, json.dumps(_at(settings, n)), d] for n, _, d in described()],
        )


@app.command("init")
def init(
    home: HomeOption = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write `bal.toml` with every setting, its default and what it does."""
    place = home_at(home).create()
    path = place.path / CONFIG_FILE
    if path.exists() and not force:
        message = "there is a settings file already"
        raise Conflict(message, subject=CONFIG_FILE, remedy="edit it, or use --force to write over it")
    text = default_file()
    tomllib.loads(text)
    path.write_text(text, encoding="utf-8")
    print_json({"written": str(path)}) if as_json else typer.echo(f"{path} written")


def default_file() -> str:
    """Return the text of a settings file that changes nothing."""
    plain = [(name, default, text) for name, default, text in described() if "." not in name]
    nested = [(name, default, text) for name, default, text in described() if "." in name]
    lines, table = [], ""
    for name, default, text in plain + nested:
        head, _, tail = name.rpartition(".")
        if head != table:
            lines += ["", f"[{head}]"]
            table = head
        value = '"…"' if default is None else json.dumps(default)
        lines += [f"# {text}", f"# {tail} = {value}"]
    return "\n".join(lines).lstrip() + "\n"


def _at(settings: dict[str, Any], name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = value[part]
    return value
