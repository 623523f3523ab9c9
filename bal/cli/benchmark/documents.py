"""Documents to measure with: quarter hours of as many meters as asked for, no two alike."""

import time
from typing import Final

METERS: Final = 1000
"""Of a document, unless a round asks for fewer."""
_QUARTER: Final = 900
_BEGIN: Final = 1_767_225_600


def moment(number: int) -> str:
    """Return the time of all readings of document `number`, as the document and as its certificates have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(_BEGIN + number * _QUARTER))


def document(number: int, meters: int) -> bytes:
    """Return a quarter-hour document of `meters` meters (IEC 61968-9, `MeterReadings`)."""
    reading = (
        f"<m:Readings><m:timeStamp>{moment(number)}Z</m:timeStamp><m:value>{{value}}</m:value>"
        '<m:ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"/></m:Readings>'
    )
    body = "".join(
        f"<m:MeterReading>{reading.format(value=100_000 + 7 * number + meter)}"
        f"<m:UsagePoint><m:mRID>DE00{meter:029d}</m:mRID></m:UsagePoint></m:MeterReading>"
        for meter in range(meters)
    )
    head = '<m:MeterReadings xmlns:m="http://iec.ch/TC57/2011/MeterReadings#">'
    return f"{head}{body}</m:MeterReadings>".encode()
