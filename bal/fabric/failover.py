"""The phases of a transaction over several gateways.

Every phase is safe to try again: evaluating and endorsing change nothing, a submitted transaction keeps its id and Fabric commits an id once, and asking for a status only
reads. What is tried in which order, and what is known after it failed, is told in docs/fabric-client.md.
"""

import asyncio
import logging
import math
import random
from collections.abc import Collection, Sequence
from typing import Any, Final, TypeVar

from bal.fabric import wire
from bal.fabric.attempts import Attempts
from bal.fabric.endorsers import Endorsers
from bal.fabric.errors import (
    Closed,
    CommitStatusError,
    ContractError,
    EndorseError,
    EvaluateError,
    GatewayError,
    MismatchError,
    Outcome,
    SubmitError,
)
from bal.fabric.link import CallFailed, Link
from bal.fabric.ways import Course, Ways

logger = logging.getLogger("bal.fabric")

_GONE: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})
"""The gateway, or its orderers, can't be reached; another one may do."""
_ELSEWHERE: Final = _GONE | {"ABORTED", "FAILED_PRECONDITION"}
"""Peers this gateway asked did not do it; another gateway, or other organisations, may."""
_MISMATCH: Final = "ProposalResponsePayloads do not match"
_CONTRACT: Final = "chaincode response "
"""How Fabric's gateway begins what a contract itself answered (apiutils.go); what a peer says comes without."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_LONGEST_WAIT: Final = 5.0
"""How long one gateway is waited for to tell of a commit, where there are others: it may hang, or be behind."""

E = TypeVar("E", bound=GatewayError)


class Failover:
    """Calls the preferred gateway, others when it fails, and the preferred one again after a while."""

    def __init__(self, links: Sequence[Link], endorsers: Endorsers | None) -> None:
        self._links = tuple(links)
        self._ways = Ways(endorsers)
        self.closed = False

    async def evaluate(self, request: Any, seconds: float) -> bytes:
        """Return the result of a query.

        Raises EvaluateError.
        """
        attempts = Attempts(seconds)
        links = self.preferred()
        for position, link in enumerate(links):
            if attempts.left <= 0:
                break
            try:
                response = await self._call(
                    link, "Evaluate", request, attempts.seconds(last=position == len(links) - 1)
                )
                return bytes(response.result.payload)
            except CallFailed as failure:
                attempts.note(link, tuple(request.target_organizations), failure)
                if failure.code not in _ELSEWHERE:
                    attempts.decide(failure)
                    break
        raise self._error(EvaluateError, attempts, request.transaction_id)

    async def endorse(self, request: Any, seconds: float) -> Any:
        """Return an endorsed transaction (common.Envelope), not signed.

        Raises EndorseError, of its kinds ContractError and MismatchError at once and the others when every way has been tried.
        """
        attempts = Attempts(seconds)
        only = tuple(request.endorsing_organizations)
        # Who was named is asked, nobody else; and transient data goes to nobody that was not named.
        choose = not only and not wire.has_transient(request.proposed_transaction.proposal_bytes)
        course = Course(self._ways, *self._sorted(), None if choose else only)
        for link, group in course:
            if attempts.left <= 0:
                break
            del request.endorsing_organizations[:]
            request.endorsing_organizations.extend(group)
            try:
                share = attempts.seconds(last=course.is_last(link))
                response = await self._call(link, "Endorse", request, share)
            except CallFailed as failure:
                attempts.note(link, group, failure)
                kind = _kind(failure)
                if kind is not EndorseError:
                    course.worked(link, group)
                    attempts.decide(failure)
                    raise self._error(kind, attempts, request.transaction_id) from None
                course.failed(link, group, failure)
                if failure.code not in _ELSEWHERE:
                    attempts.decide(failure)
                    break
                continue
            course.worked(link, group)
            return response.prepared_transaction
        raise self._error(EndorseError, attempts, request.transaction_id)

    async def submit(self, request: Any, seconds: float) -> None:
        """Hand an endorsed, signed transaction to an orderer; again while gateways or orderers can't be reached.

        Raises SubmitError, whose outcome tells whether it may have been submitted all the same.
        """
        attempts = Attempts(seconds)
        if await self._repeat("Submit", request, attempts, _GONE) is not None:
            return
        said = attempts.telling()
        raise SubmitError(
            said.message,
            code=said.code,
            details=said.details,
            transaction_id=request.transaction_id,
            attempts=attempts.all,
            outcome=Outcome.UNKNOWN if attempts.uncertain else Outcome.NOT_SUBMITTED,
        )

    async def commit_status(self, request: Any, transaction_id: str, seconds: float) -> tuple[int, int, str]:
        """Wait until a transaction is in a block; return validation code, block number and the gateway that told.

        Raises CommitStatusError.
        """
        attempts = Attempts(seconds)
        told = await self._repeat("CommitStatus", request, attempts, _GONE | {"ABORTED"})
        if told is not None and told[0].result == wire.DUPLICATE_TXID:
            # Submitted twice, an id is in two places: valid where it stands first. A peer that is asked anew
            # answers from its index, which has the first.
            told = await self._repeat("CommitStatus", request, attempts, _GONE | {"ABORTED"})
        if told is not None:
            response, link = told
            return int(response.result), int(response.block_number), link.endpoint.address
        raise self._error(CommitStatusError, attempts, transaction_id)

    def preferred(self) -> list[Link]:
        """Return the gateways in the order to try them: those being left alone last."""
        ready, resting = self._sorted()
        return ready + resting

    def _sorted(self) -> tuple[list[Link], list[Link]]:
        """Return the gateways that may be used and those being left alone, each in order.

        Raises Closed.
        """
        if self.closed:
            raise Closed("the gateway was closed")
        ready = [link for link in self._links if link.backoff.ready()]
        return ready, [link for link in self._links if link not in ready]

    async def close(self) -> None:
        """Close every channel."""
        self.closed = True
        for link in self._links:
            await link.close()

    async def _call(self, link: Link, method: str, request: Any, seconds: float) -> Any:
        try:
            response = await link.call(method, request, seconds)
        except CallFailed as failure:
            # A commit that takes long is no fault of the gateway that waits for it.
            waited = method == "CommitStatus" and failure.code == "DEADLINE_EXCEEDED"
            if not failure.answered and not waited and not self.closed:
                if not link.backoff.resting:  # once, not for each call that was in flight
                    logger.warning("%s at %s failed: %s", method, link.endpoint.address, failure.code)
                link.backoff.failed()
            raise
        link.backoff.worked()
        return response

    async def _repeat(
        self, method: str, request: Any, attempts: Attempts, again: Collection[str]
    ) -> tuple[Any, Link] | None:
        """Call one gateway after the other, with a pause after each time all were tried, until time is up.

        Returns the answer and whose it is, None where none answered, or one answered with a code that is not worth another try.
        """
        pause = _FIRST_PAUSE
        longest = _LONGEST_WAIT if method == "CommitStatus" and len(self._links) > 1 else math.inf
        while attempts.left > 0:
            if self.closed and attempts.all:
                break
            for link in self.preferred():
                if attempts.left <= 0:
                    break
                share = min(attempts.seconds(last=len(self._links) == 1), longest)
                try:
                    return await self._call(link, method, request, share), link
                except CallFailed as failure:
                    attempts.note(link, (), failure)
                    if failure.code not in again:
                        attempts.decide(failure)
                        return None
            await asyncio.sleep(min(pause * random.uniform(0.5, 1.0), max(attempts.left, 0)))  # noqa: S311 - spreads load
            pause = min(pause * 2, _LONGEST_PAUSE)
        return None

    @staticmethod
    def _error(kind: type[E], attempts: Attempts, transaction_id: str) -> E:
        said = attempts.telling()
        return kind(
            said.message,
            code=said.code,
            details=said.details,
            transaction_id=transaction_id,
            attempts=attempts.all,
        )


def _kind(failure: CallFailed) -> type[EndorseError]:
    """Tell a contract's refusal and differing results from endorsers that failed."""
    said = [detail.message for detail in failure.details] or [failure.message]
    if any(_MISMATCH in message for message in said):
        return MismatchError
    if any(message.startswith(_CONTRACT) for message in said):
        return ContractError
    return EndorseError
