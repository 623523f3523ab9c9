"""Verification: certificates against trusted anchors, and the audit of an SCD against its ledger. Needs no server."""
