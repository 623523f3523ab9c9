"""Who may come to the doors of a home: certificates and passwords."""

from bal.config import load
from bal.home import Home
from bal.ingest.accounts import Accounts
from bal.pki import Authority


def authority(home: Home) -> Authority:
    """Return the development CA of a home, made with a server certificate on first use."""
    if Authority.exists(home.pki):
        return Authority.open(home.pki)
    made = Authority.create(home.pki, crl_url="")  # field devices need not know this machine's folders
    made.issue_server(load(home.path).server.names)
    return made


def accounts(home: Home) -> Accounts:
    """Return the field broker's accounts of a home."""
    return Accounts(home.accounts)
