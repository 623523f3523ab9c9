"""The ledger with the certification contract on it: `embedded` in one file, `fabric` on Hyperledger Fabric."""
