"""A service on the real servers that kills itself at a chosen point; see `tests.faults.crash`."""

from bal.anchor.fabric.ledger import FabricLedger
from bal.fabric.commit import Commit
from bal.publish.kafka import KafkaPublisher
from bal.store.cassandra.session import Session
from bal.store.cassandra.store import CassandraStore
from bal.store.cassandra.writing import Writing
from tests.faults import crash

crash.POINTS.update(
    {
        "record": (Writing, "_commit"),
        "rows": (Session, "write_rows"),
        "lists": (Session, "write_many"),
        "stored": (Writing, "_stored"),
        "anchor": (FabricLedger, "anchor"),
        "commit": (Commit, "status"),
        "mark_anchored": (CassandraStore, "mark_anchored"),
        "publish": (KafkaPublisher, "publish"),
        "mark_published": (CassandraStore, "mark_published"),
    }
)

if __name__ == "__main__":
    crash.main()
