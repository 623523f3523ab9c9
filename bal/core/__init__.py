"""The words of the BAL as types: pure, without I/O, clock, randomness or tasks."""
