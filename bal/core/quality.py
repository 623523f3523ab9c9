"""Quality rules: what a source's readings are held against before they are accepted."""

import hashlib

import rfc8785
from pydantic import BaseModel, ConfigDict


class QualityRules(BaseModel):
    """The rules of one source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Return the hex SHA-256 of the RFC 8785 form of the rules: what an anchor says was in force."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()
