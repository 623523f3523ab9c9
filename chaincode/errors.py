"""The one error of the contracts: a stable code for programs, a sentence for people."""

from __future__ import annotations

from typing import Final

#: Every code a contract answers with, and what the caller does about it.
CODES: Final = {
    "anchor_unknown": "no such anchor on the ledger: ask GetHead how far the log reaches",
    "bounds": "an index or size lies outside the tree: correct the call",
    "exists": "registered already with other content: names are never given twice",
    "fork": "another anchor stands at this sequence number: stop writing this log and look for a second writer",
    "malformed": "a value has the wrong form: correct the call",
    "not_admin": "the caller's certificate lacks the role admin: use an administrator's identity",
    "size": "a number of leaves, anchors or bytes is outside its limits: split the call",
    "unknown_function": "the contract has no such function: correct the call",
    "unknown_log": "register the log first",
    "unknown_source": "register the source first",
    "wrong_organisation": "the log or source belongs to another organisation: use an identity of its owner",
    "wrong_previous": "previous is not the hash of the anchor before: read GetHead and build on it",
    "wrong_sequence": "the sequence number leaves a gap: read GetHead and go on from there",
}


class ContractError(Exception):
    """Say what a contract refuses: `code` (a key of CODES, stable) and `message`."""

    __slots__ = ("code", "message")

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, str]]:
        return ContractError, (self.code, self.message)

    def to_json(self) -> dict[str, str]:
        """Return the error as the JSON object a ledger hands back."""
        return {"code": self.code, "message": self.message}

    @classmethod
    def from_json(cls, value: object) -> ContractError:
        """Rebuild the error from `to_json`; raise ContractError (malformed) for anything else."""
        if type(value) is not dict or set(value) != {"code", "message"}:
            raise ContractError("malformed", "an error has exactly the members code and message")
        code, message = value["code"], value["message"]
        if type(code) is not str or type(message) is not str or code not in CODES:
            raise ContractError("malformed", "an error has a known code and a text as message")
        return cls(code, message)
