"""The embedded ledger: the certification contract on signed, hash-chained blocks in one file."""
