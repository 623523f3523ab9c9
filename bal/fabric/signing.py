"""Identity, hash and signer as one."""

import inspect

from bal.fabric import wire
from bal.fabric.errors import NotSigned
from bal.fabric.hashes import Hash
from bal.fabric.identity import Identity
from bal.fabric.signers import Signer


class SigningIdentity:
    """Signs messages for one identity; without a signer it only hashes (off-line signing)."""

    def __init__(self, identity: Identity, signer: Signer | None = None, digest: Hash | None = None) -> None:
        self.identity = identity
        self.creator = wire.creator(identity.msp_id, identity.credentials)
        self.hash = digest or identity.default_hash()
        self._signer = signer

    @property
    def can_sign(self) -> bool:
        """Tell whether there is a signer."""
        return self._signer is not None

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of a message.

        Raises NotSigned where there is no signer.
        """
        if self._signer is None:
            raise NotSigned(
                "this gateway has no signer: sign the digest off-line and make the object anew with it"
            )
        signature = self._signer(self.hash(message))
        return await signature if inspect.isawaitable(signature) else signature
