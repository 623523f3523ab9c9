"""Logging: structured, to standard error; JSON where nobody watches. No secret, identifier or payload is ever logged."""

import logging
import sys

import structlog

from bal.config import LogSettings

_LIBRARIES = (
    *(
        "amqtt",
        "aiomqtt",
        "paho",
        "aiokafka",
        "uvicorn",
        "httpx",
        "httpcore",
        "asyncio",
        "concurrent.futures",
    ),
)


def configure(settings: LogSettings) -> None:
    """Set logging up for this process. Libraries are heard from warnings on, as events of their own."""
    level = getattr(logging, settings.level.upper())
    machine = settings.form == "json" or (settings.form == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if machine
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
