"""`bal keys`: the operator's keys."""

from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table

app = typer.Typer(help="Pseudonym keys: list and rotate them.", no_args_is_help=True)


@app.command("list")
def list_keys(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the pseudonym keys and from when each is used; the keys themselves are not shown."""
    from bal.core.instant import instant_text
    from bal.keys import Keys

    rows = [
        (key.number, instant_text(key.since)) for key in Keys.open(home_at(home).existing().keys).pseudonyms
    ]
    if as_json:
        for number, since in rows:
            print_json({"number": number, "since": since})
    else:
        print_table(["number", "since"], [[str(number), since] for number, since in rows])


@app.command("rotate")
def rotate(
    since: Annotated[
        str | None,
        typer.Option(help="From when on the new key is used (ISO 8601 with offset); now if not given."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Begin new pseudonyms with a new key. The service must not run; who holds the keys can still ask by plain identifier."""
    from bal.core.instant import instant_text, read_instant
    from bal.keys import rotate_pseudonyms
    from bal.system import SystemClock

    place = home_at(home).existing()
    with place.lock():
        key = rotate_pseudonyms(place.keys, SystemClock().now() if since is None else read_instant(since))
    facts = {"number": key.number, "since": instant_text(key.since)}
    print_json(facts) if as_json else typer.echo(
        f"pseudonym key {key.number} is used from {facts['since']} on"
    )
