"""Worker: what runs in the processes beside the service."""

import marshal
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Final, NamedTuple, Self

from bal.core.errors import BalError
from bal.core.message import Form, Message
from bal.core.pseudonym import PseudonymKey
from bal.core.source import Source
from bal.garbage import collect_seldom
from bal.normalise.parts import pack, parts
from bal.ports import NormalisedPart

OPEN: Final = b"o"
READ: Final = b"r"
PART: Final = b"p"
END: Final = b"e"
UNREADABLE: Final = b"u"
"""First byte of what a process of one message says: open the body, read on, a part, the end, unreadable."""


class Task(NamedTuple):
    """A message and what it is normalised with. The key is never shown."""

    source: Source
    key: PseudonymKey
    received_at: int
    seed: bytes
    skip: int
    form: Form
    digest: bytes
    device: str
    body: bytes | None
    """None: the body comes by the connection."""
    first_part: int = 0

    def __repr__(self) -> str:
        return f"Task(source={self.source.name!r}, form={self.form!r}, skip={self.skip})"


def prepare() -> None:
    """Make a process end with its parent, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def prepare_for_many() -> None:
    """Do the same for a process that normalises one message after the other."""
    prepare()
    collect_seldom()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


def run(task: Task) -> list[bytes] | tuple[str, str, str]:
    """Return the packed parts of a message held in memory, or (what, subject, remedy) of why it is unreadable."""
    try:
        return [pack(part) for part in _parts(task, task.body or b"")]
    except BalError as error:
        return error.what, error.subject, error.remedy


def run_alone(task: Task, connection: Connection) -> None:
    """Normalise one message in a process of its own and send its parts as they are made."""
    prepare()
    body = task.body if task.body is not None else partial(RemoteBody, connection)
    try:
        for part in _parts(task, body):
            connection.send_bytes(PART + pack(part))
        connection.send_bytes(END)
    except BalError as error:
        connection.send_bytes(UNREADABLE + marshal.dumps((error.what, error.subject, error.remedy)))
    except (BrokenPipeError, EOFError):
        return  # the parent has lost interest


def _parts(task: Task, body: Any) -> Iterator[NormalisedPart]:
    message = Message(task.source.name, task.form, body, task.digest, task.device)
    return parts(message, task.source, task.key, task.received_at, task.seed, task.skip, task.first_part)


class RemoteBody:
    """The body of a message, read by the parent and handed over chunk by chunk."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.send_bytes(OPEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the body to the parent, who closes it."""

    def read(self, _size: int = -1) -> bytes:
        """Return the next chunk, empty at the end."""
        self._connection.send_bytes(READ)
        return self._connection.recv_bytes()
