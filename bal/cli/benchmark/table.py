"""The figures of the bench for people."""

from typing import Any, Final

_ROWS: Final = (
    ("Cassandra's commit log", "cassandra_sync"),
    ("readings", "readings"),
    ("certified readings/s", "certified_readings_per_second"),
    ("sent to receipt, p50, ms", "sent_to_receipt_p50_ms"),
    ("sent to Kafka's consumer, p50, ms", "sent_to_kafka_p50_ms"),
    ("sent to Kafka's consumer, p99, ms", "sent_to_kafka_p99_ms"),
)
_PER_THOUSAND: Final = (
    ("ledger transactions", "transactions_per_1000_readings"),
    ("CPU seconds, all processes", "cpu_seconds_per_1000_readings_all"),
    ("bytes of tables of the SCD (not with group)", "database_bytes_per_1000_readings"),
    ("bytes of blocks, one peer", "ledger_block_bytes_per_1000_readings"),
    ("bytes of the ledger, three peers and orderers", "ledger_bytes_per_1000_readings"),
)


def rows(rounds: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows, a column for each round."""
    found = [[title, *(_text(each.get(name)) for each in rounds)] for title, name in _ROWS]
    found.append(["per 1,000 readings:", *("" for _ in rounds)])
    for title, name in _PER_THOUSAND:
        found.append([f"  {title}", *(_text(each.get(name)) for each in rounds)])
        if name.startswith("cpu"):
            parts = rounds[0]["cpu_seconds_per_1000_readings"]
            found += [
                [f"    {part}", *(_text(each["cpu_seconds_per_1000_readings"][part]) for each in rounds)]
                for part in parts
            ]
    found.append(
        [
            "readings/s that CPU would allow",
            *(_text(each.get("cpu_would_allow_per_second")) for each in rounds),
        ]
    )
    found.append(
        ["CPU seconds of others meanwhile", *(_text(each["cpu_of_others_seconds"]) for each in rounds)]
    )
    return ["", *(each["load"] for each in rounds)], found


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
