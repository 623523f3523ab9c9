"""The embedded ledger: hash-chained, signed blocks in one file, made by the same contract under Fabric's MVCC rules."""
