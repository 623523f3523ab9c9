"""Units of measure: the number in a reading type, and the symbol a reading carries.

Numbers are those of IEC 61968-9 annex C (`unit`); symbols are SI's (ISO 80000) written in ASCII: `m3`, `degC`, `ohm`,
`var`; `1` is the unit of a ratio. A unit that is not SI (cubic feet, gallons) keeps its own symbol: converting it would
round.
"""

from typing import Final


def _symbols(text: str) -> dict[int, str]:
    return {int(number): symbol for number, symbol in (pair.split(":") for pair in text.split())}


UNITS: Final = _symbols(
    "0:1 2:m 3:g 4:rev/s 5:A 6:K 7:mol 8:cd 9:deg 10:rad 11:sr 21:Gy 22:Bq 23:degC 24:Sv 25:F 26:C 27:s 28:H 29:V "
    "30:ohm 31:J 32:N 33:Hz 34:lx 35:lm 36:Wb 37:T 38:W 39:Pa 41:m2 42:m3 43:m/s 44:m/s2 45:m3/s 46:m/m3 47:kg.m "
    "48:g/m3 49:m2/s 50:W/(m.K) 51:J/K 53:S 54:rad/s 61:VA 63:var 64:deg 65:1 66:V.s 67:V2 68:A.s 69:A2 70:A2.s "
    "71:VAh 72:Wh 73:varh 74:V/Hz 75:Hz/s 76:char 77:char/s 78:g.m2 79:B 80:money 81:W/s 82:l/s 100:Q 101:Qh "
    "102:ohm.m 103:A/m 104:V2h 105:A2h 106:Ah 107:Wh/m3 108:timeStamp 109:status 110:status 111:count 113:Bm "
    "114:code 115:Wh/rev 116:varh/rev 117:VAh/rev 118:meCode 119:ft3 120:ft3compensated 121:ft3uncompensated "
    "122:ft3/h 123:ft3compensated/h 124:ft3uncompensated/h 125:m3/h 126:m3compensated/h 127:m3uncompensated/h "
    "128:USgal 129:USgal/h 130:impgal 131:impgal/h 132:Btu 133:Btu/h 134:l 137:l/h 138:lcompensated/h "
    "139:luncompensated/h 140:Pa(g) 141:psi(a) 142:psi(g) 143:l/l 144:g/g 145:mol/m3 146:mol/mol 147:mol/kg 148:m/m "
    "149:s/s 150:Hz/Hz 151:V/V 152:A/A 153:W/VA 154:rev 155:Pa(a) 156:luncompensated 157:lcompensated 158:kat "
    "159:min 160:h 161:Q45 162:Q60 163:Q45h 164:Q60h 165:J/kg 166:m3uncompensated 167:m3compensated 168:W/W "
    "169:therm 195:d 199:t 214:bar 215:mmHg 279:degF 280:Vh"
)


def unit_symbol(number: int) -> str | None:
    """Return the symbol of a unit number, None where the tables have none."""
    return UNITS.get(number)
