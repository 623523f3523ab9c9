"""A checkpoint in a file, which outlasts a crash and a power cut."""

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from bal.fabric.checkpoint import Checkpointer
from bal.fabric.errors import CheckpointError

_LARGEST: Final = 4096


class FileCheckpointer(Checkpointer):
    """A checkpoint in a JSON file, `{"block": 7, "transaction": "ab12"}`, of one process.

    Each note is written beside it, synced, renamed over it, and the folder synced: the file always holds the last note or the one before, never half of one.
    """

    def __init__(self, path: Path | str) -> None:
        """Read the file if there is one.

        Raises CheckpointError where it can't be read or holds something else.
        """
        super().__init__()
        self._path = Path(path)
        self._lock = asyncio.Lock()
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise CheckpointError(f"{self._path.name} can't be read: {error.strerror}") from error
        self._block_number, self._transaction_id = _parsed(data, self._path.name)

    async def _note(self, block_number: int, transaction_id: str) -> None:
        text = json.dumps({"block": block_number, "transaction": transaction_id})
        async with self._lock:
            try:
                # Shielded: a cancelled caller must not let the next note overtake one still being written.
                await asyncio.shield(asyncio.to_thread(_replace, self._path, text.encode()))
            except OSError as error:
                raise CheckpointError(f"{self._path.name} can't be written: {error.strerror}") from error
            await super()._note(block_number, transaction_id)


def _parsed(data: bytes, name: str) -> tuple[int, str]:
    try:
        members = json.loads(data[:_LARGEST])
        block, transaction = members["block"], members["transaction"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{name} holds no checkpoint") from error
    if type(block) is not int or block < 0 or type(transaction) is not str:
        raise CheckpointError(f"{name} holds no checkpoint")
    return block, transaction


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
