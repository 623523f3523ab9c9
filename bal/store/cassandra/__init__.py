"""The Shared Customer Database on Apache Cassandra."""

from importlib.util import find_spec

from bal.core.errors import Misconfigured

if find_spec("cassandra") is None:
    message = "the driver of Cassandra is not installed"
    raise Misconfigured(message, subject="cassandra-driver", remedy="pip install 'bal[cassandra]'")
