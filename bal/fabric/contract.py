"""A contract on a channel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bal.fabric import wire
from bal.fabric.commit import SubmittedTransaction
from bal.fabric.deadlines import Deadlines
from bal.fabric.errors import CommitError, MismatchError
from bal.fabric.proposal import Proposal
from bal.fabric.retry import Retries, Retry
from bal.fabric.session import Session

Argument = str | bytes
_NONE: Mapping[str, Argument] = {}


class Contract:
    """A chaincode, or one contract of several in it (`contract_name`)."""

    def __init__(
        self,
        session: Session,
        channel: str,
        chaincode: str,
        contract_name: str | None = None,
    ) -> None:
        self._session = session
        self._channel = channel
        self.chaincode = chaincode
        self.contract_name = contract_name

    async def evaluate(
        self,
        name: str,
        *arguments: Argument,
        transient: Mapping[str, Argument] = _NONE,
        organisations: Sequence[str] = (),
        deadlines: Deadlines | None = None,
    ) -> bytes:
        """Run a function at one peer and return its result; nothing is written.

        Raises EvaluateError.
        """
        proposal = self._proposal(name, arguments, transient, organisations, deadlines)
        return await proposal.evaluate()

    async def submit(
        self,
        name: str,
        *arguments: Argument,
        transient: Mapping[str, Argument] = _NONE,
        organisations: Sequence[str] = (),
        deadlines: Deadlines | None = None,
        retries: Retry | None = None,
    ) -> bytes:
        """Run a function, have it ordered and wait until it is committed; return its result.

        Raises EndorseError, SubmitError, CommitStatusError, CommitError.
        """
        left = Retries(retries or Retry())
        while True:
            try:
                submitted = await self.submit_async(
                    name,
                    *arguments,
                    transient=transient,
                    organisations=organisations,
                    deadlines=deadlines,
                )
                (await submitted.status()).check()
                return submitted.result
            except (CommitError, MismatchError) as error:
                if not await left.again(error):
                    raise

    async def submit_async(
        self,
        name: str,
        *arguments: Argument,
        transient: Mapping[str, Argument] = _NONE,
        organisations: Sequence[str] = (),
        deadlines: Deadlines | None = None,
    ) -> SubmittedTransaction:
        """Run a function and hand it to an orderer; the commit is waited for with `status()` of what is returned.

        Raises EndorseError, SubmitError.
        """
        proposal = self._proposal(name, arguments, transient, organisations, deadlines)
        return await (await proposal.endorse()).submit()

    def new_proposal(
        self,
        name: str,
        *arguments: Argument,
        transient: Mapping[str, Argument] = _NONE,
        organisations: Sequence[str] = (),
    ) -> Proposal:
        """Make a proposal to be signed, evaluated or endorsed step by step."""
        return self._proposal(name, arguments, transient, organisations, None)

    def _proposal(
        self,
        name: str,
        arguments: Sequence[Argument],
        transient: Mapping[str, Argument],
        organisations: Sequence[str],
        deadlines: Deadlines | None,
    ) -> Proposal:
        function = f"{self.contract_name}:{name}" if self.contract_name else name
        proposed = wire.proposed_transaction(
            self._channel,
            self.chaincode,
            [_encoded(function), *map(_encoded, arguments)],
            self._session.signing.creator,
            {key: _encoded(value) for key, value in transient.items()},
            organisations,
        )
        session = replace(self._session, deadlines=deadlines) if deadlines else self._session
        return Proposal(session, proposed)


def _encoded(argument: Argument) -> bytes:
    return argument.encode() if isinstance(argument, str) else bytes(argument)
