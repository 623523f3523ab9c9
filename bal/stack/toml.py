"""Settings merged and written as TOML, as far as `bal.toml` needs it (TOML v1.0.0)."""

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return `old` with what `new` says put over it; tables are merged, everything else is replaced."""
    result = dict(old)
    for name, value in new.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both else value
    return result


def written(settings: Mapping[str, Any]) -> str:
    """Return settings as TOML text. A None is left out: TOML has no such value."""
    return "\n".join(_table(settings, ())).strip() + "\n"


def _table(settings: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain, tables = [], []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            at = ".".join(map(_key, (*path, name)))
            tables += ["", f"[{at}]", *_table(value, (*path, name))]
        elif value is not None:
            plain.append(f"{_key(name)} = {_value(value)}")
    return plain + tables


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | PurePath):
        return _text(str(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_value, value))
        return f"[{inner}]"
    message = f"{type(value).__name__} is not written as TOML"
    raise TypeError(message)


def _text(text: str) -> str:
    # JSON's escapes are TOML's; its one difference is DEL, which TOML wants escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
