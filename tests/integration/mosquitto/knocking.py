"""Knocking at a broker's door: who is refused learns why from TLS or from MQTT, which clients hide behind a timeout."""

import asyncio
import ssl
import struct

from tests.patience import PATIENCE

LET_IN = "CONNACK 0"
NOT_AUTHORISED = "CONNACK 5"
"""MQTT 3.1.1, table 3.1."""
UNKNOWN_CA, REVOKED, NO_CERTIFICATE = (
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
)
"""TLS alerts (RFC 8446, section 6.2), by OpenSSL's names."""


async def knock(port: int, tls: ssl.SSLContext, user: tuple[str, str] | None = None) -> str:
    """Connect by MQTT 3.1.1; return what the broker answers: an alert or a return code."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            # Listening before anything is said: an alert that comes meanwhile is not lost to a reset.
            answer = asyncio.ensure_future(reader.readexactly(4))
            await asyncio.wait([answer], timeout=0.2)
            if not answer.done():
                writer.write(_connect(user))
            return f"CONNACK {(await answer)[3]}"
        except ssl.SSLError as error:
            return str(error.reason)
        finally:
            writer.close()


def _connect(user: tuple[str, str] | None) -> bytes:
    texts = ["knocking", *(user or ())]
    body = b"".join(struct.pack(">H", len(text)) + text.encode() for text in texts)
    flags = 0xC2 if user else 0x02
    head = b"\x00\x04MQTT\x04" + bytes([flags]) + struct.pack(">H", 30)
    return bytes([0x10, len(head) + len(body)]) + head + body
