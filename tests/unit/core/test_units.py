"""Units: every symbol stands in JSON as it is."""

from bal.core.units import UNITS, unit_symbol


def test_symbols() -> None:
    assert [unit_symbol(number) for number in (72, 73, 71, 38, 63, 61, 29, 5, 33, 42, 23, 65)] == (
        ["Wh", "varh", "VAh", "W", "var", "VA", "V", "A", "Hz", "m3", "degC", "1"]
    )
    assert unit_symbol(9999) is None


def test_symbols_need_no_escaping() -> None:
    for symbol in UNITS.values():
        assert symbol.isascii()
        assert symbol.isprintable()
        assert not set('"\\ ') & set(symbol)
