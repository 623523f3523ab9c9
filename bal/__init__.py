"""The Blockchain Access Layer: certifies meter and PMU readings on a ledger several organisations run."""

__version__ = "0.1.0"
