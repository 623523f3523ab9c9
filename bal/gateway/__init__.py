"""The doors for people and programs: the REST API over HTTPS and the operator's control routes on a Unix socket."""

from bal.gateway.app import create_app
from bal.gateway.clients import Client, Clients
from bal.gateway.control import create_control_app
from bal.gateway.operations import Operations, Readers
from bal.gateway.server import HttpServer, control_socket_path, https_server, listen, socket_server
from bal.gateway.services import Events, GatewayServices, Intake, Verdict
from bal.gateway.tokens import Tokens

__all__ = [
    "Client",
    "Clients",
    "Events",
    "GatewayServices",
    "HttpServer",
    "Intake",
    "Operations",
    "Readers",
    "Tokens",
    "Verdict",
    "control_socket_path",
    "create_app",
    "create_control_app",
    "https_server",
    "listen",
    "socket_server",
]
