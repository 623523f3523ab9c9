"""Who may come to the doors of a home: certificates and passwords."""

from pathlib import Path

from bal.bootstrap.broker import rights_folder
from bal.config import Settings, load
from bal.core.errors import Misconfigured
from bal.home import Home
from bal.ingest import BrokerAccounts
from bal.ingest.accounts import Accounts
from bal.pki import Authority, gateway_of


def authority(home: Home, settings: Settings | None = None) -> Authority:
    """Return the development CA that `settings` name, by default those of the home; made on first use.

    One of the home's own comes with a server certificate.
    """
    settings = settings or load(home.path)
    path = settings.pki.path or home.pki
    if Authority.exists(path):
        return Authority.open(path)
    made = Authority.create(path, crl_url="")  # field devices need not know this machine's folders
    if settings.pki.path is None:
        made.issue_server(settings.server.names)
    return made


def server_certificate(home: Home, settings: Settings) -> tuple[Path, Path]:
    """Return certificate and key of the home's own servers.

    Where several homes share one CA, each has a certificate of its own name there.
    """
    ca = authority(home, settings)
    if settings.pki.path is None:
        return ca.server_paths
    server = gateway_of(settings.mqtt.identity)
    paths = ca.paths_of_server(server)
    if not all(path.exists() for path in paths):
        return ca.issue_server(settings.server.names, server=server)
    return paths


def accounts(home: Home) -> Accounts:
    """Return the field broker's accounts of a home."""
    return Accounts(home.accounts)


def users(home: Home) -> Accounts | BrokerAccounts:
    """Return where the names and passwords of a home's field broker are kept. `Misconfigured` when it is out of reach."""
    settings = load(home.path).mqtt
    if settings.broker == "embedded":
        return accounts(home)
    folder = rights_folder(settings)
    if folder is None:
        message = "the users of this broker are not kept from here"
        raise Misconfigured(message, subject="mqtt.rights", remedy="add them where the broker runs")
    return BrokerAccounts(folder, settings.identity)


def tell_broker(home: Home) -> None:
    """Let a broker outside know whose certificates are revoked now: new connections are refused, standing ones idle.

    Returns once it does. `Unavailable` when it is there and does not take note.
    """
    settings = load(home.path)
    folder = rights_folder(settings.mqtt)
    if folder is not None:
        folder.withdraw(authority(home, settings))
