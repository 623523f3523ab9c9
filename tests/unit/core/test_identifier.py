"""Identifiers of measuring points."""

from bal.core.identifier import name_identifier, point_identifier


def test_names() -> None:
    assert name_identifier("12345") == "12345"
    assert name_identifier("12345", "MeterID") == "12345@MeterID"
    assert name_identifier("12345", "MeterID", "DSO") == "12345@MeterID@DSO"
    assert name_identifier("12345", "", "DSO") == "12345@@DSO"
    assert name_identifier("a@b", "c%d") == "a%40b@c%25d"


def test_points() -> None:
    assert point_identifier("M", [("N", "", "")]) == "M"
    assert point_identifier("", []) == ""
    assert point_identifier("", [("", "type", "authority")]) == ""
    assert point_identifier("", [("2", "t", ""), ("1", "t", "")]) == "1@t"
