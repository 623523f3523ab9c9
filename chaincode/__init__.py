"""The contracts of the ledger and the one Merkle implementation; standard library only, deterministic."""
