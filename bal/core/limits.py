"""Limits, each with its reason. A limit on everything: what has none is a way to bring the service down."""

MQTT_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest MQTT message. A quarter-hour document of 10,000 meters is 4 MB; brokers keep whole messages in memory."""
HTTP_BODY_BYTES = 256 * 1024 * 1024
"""Largest HTTP body, counted after unpacking."""
INLINE_MESSAGE_BYTES = MQTT_MESSAGE_BYTES
"""A message up to this size is read whole before anything of it is accepted; larger ones are streamed in two passes."""
XML_DEPTH = 64
"""Deepest nesting of a document. IEC 61968-9 inside an IEC 61968-100 envelope needs 12."""
XML_TEXT_CHARACTERS = 4096
"""Longest text or attribute value that is looked at. Identifiers and comments in the field stay under 256."""
QUARANTINED_MESSAGE_BYTES = 64 * 1024 * 1024
"""Most bytes kept of a message refused as a whole: what was wrong shows at its beginning, and it is sealed in memory."""
VALUE_DIGITS = 34
"""Most digits of a value: those of IEEE 754 decimal128."""
VALUE_FRACTION_DIGITS = 12
"""Most digits after the point."""
IDENTIFIER_CHARACTERS = 256
"""Longest identifier of a usage point or meter."""
QUALITY_CODES = 16
"""Most quality codes of one reading."""
BATCH_LEAVES = 4096
"""Leaves of a full batch."""
BATCH_LEAVES_MAX = 65536
"""Largest batch the contract takes."""
TILE_LEAVES = 256
"""Leaves in a tile: a path reads one tile."""
ANCHORS_PER_TRANSACTION = 64
"""Most anchors one ledger transaction carries."""
REJECTIONS_LISTED = 10_000
"""Most rejections that an answer or a receipt lists one by one; further ones are counted and kept in quarantine."""
DUPLICATE_WINDOW = 1 << 17
"""Measuring points and times of one message remembered while looking for equal readings in it. Beyond it an equal
reading becomes a leaf of its own; queries still show it once."""
RECEIPT_DAYS = 30
"""How long the answer to a message is remembered."""
EPOCH_MIN = 0
"""Earliest timestamp taken (1970-01-01), microseconds: nothing metered electronically is older."""
EPOCH_MAX = 4_102_444_800_000_000
"""Latest timestamp taken (2100-01-01), microseconds."""
