"""A document of a million readings is read in bounded memory."""

import subprocess
import sys

import pytest

from tests.counts import counts, figure

SCRIPT = """
import io, sys
from pathlib import Path
from tests.unit.normalise.samples import KEY, NOW, SOURCE, ENERGY, NAMESPACE
from bal.core.instant import instant_text
from bal.core.message import Message
from bal.normalise.parts import parts

count, meters = int(sys.argv[1]), int(sys.argv[2])

class Endless(io.RawIOBase):
    '''A document made as it is read: one meter, or as many as readings; the meter behind its readings.'''

    def __init__(self):
        self._pieces = self._document()
        self._rest = b""

    def _document(self):
        yield f'<MeterReadings xmlns="{NAMESPACE}">'.encode()
        for meter in range(meters):
            yield b"<MeterReading><IntervalBlocks>"
            for number in range(meter * (count // meters), (meter + 1) * (count // meters)):
                time = instant_text(number * 1_000_000)
                yield f"<IntervalReadings><timeStamp>{time}</timeStamp><value>{number}</value></IntervalReadings>".encode()
            yield f'<ReadingType ref="{ENERGY}"/></IntervalBlocks><Meter><mRID>M{meter}</mRID></Meter></MeterReading>'.encode()
        yield b"</MeterReadings>"

    def read(self, size=-1):
        pieces = [self._rest]
        have = len(self._rest)
        while have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]

def peak():
    # Not getrusage: its peak is the parent's at the time of the fork.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

message = Message("dso-a", "cim", Endless, b"")
before = peak()
readings = points = 0
for part in parts(message, SOURCE, KEY, NOW, b"s" * 32, 0):
    readings += len(part.readings)
    assert not part.rejections and not part.duplicates
assert readings == count, readings
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("meters", ["one meter", "a meter a reading"])
def test_memory_does_not_grow_with_the_document(meters: str) -> None:
    count = counts(1_000_000)
    number = 1 if meters == "one meter" else count
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(count), str(number)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    figure(f"{count} readings, {meters}: peak memory grew by {grown} KiB")
    assert grown < 160 * 1024
