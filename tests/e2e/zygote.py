"""Runs commands in processes forked from one that has imported everything: what is tested is not the import.

Reads one JSON object a line: `arguments`, `environment`, and the files `stdin`, `stdout`, `stderr`; answers with the
exit code. `python -m bal` itself is started by the tests of the service, the demonstration and the documentation.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any


def _become(command: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(command["environment"])
    for number, (name, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))
    ):
        descriptor = os.open(command[name], flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv[:] = ["bal", *command["arguments"]]
    from bal.cli import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _forked(command: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(command["seconds"])
        code = 70
        try:
            code = _become(command)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _serve() -> None:
    for module in ("bal.bootstrap.doors", "bal.bootstrap.reading", "bal.cli.control"):
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    with os.fdopen(os.dup(0)) as commands:
        for line in commands:
            print(_forked(json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
