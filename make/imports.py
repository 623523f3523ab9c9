"""Run import-linter over the contracts of pyproject.toml, without those rooms that do not exist yet.

import-linter refuses a contract that names a missing module; rooms appear one issue after the other.
"""

import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from importlinter.cli import lint_imports

ROOT: Final = Path(__file__).resolve().parent.parent


def exists(module: str) -> bool:
    """Tell whether a module of ours is there; one of others always counts as there."""
    if module.split(".", maxsplit=1)[0] not in {"bal", "chaincode", "chaincode_service"}:
        return True
    path = ROOT.joinpath(*module.split("."))
    return (path / "__init__.py").is_file() or path.with_suffix(".py").is_file()


def applicable(contracts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out modules that are not there, and contracts that then have no source."""
    kept = []
    for contract in contracts:
        trimmed = dict(contract)
        for member in ("source_modules", "forbidden_modules"):
            if member in trimmed:
                trimmed[member] = [module for module in trimmed[member] if exists(module)]
        if trimmed.get("source_modules", True) and trimmed.get("forbidden_modules", True):
            kept.append(trimmed)
    return kept


def literal(value: object) -> str:
    """Write a string, boolean or list of strings as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return "'" + str(value) + "'"


def configuration() -> str:
    """Give the import-linter configuration that fits the rooms there are."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    lines = ["[tool.importlinter]"]
    lines += [f"{key} = {literal(value)}" for key, value in settings.items() if key != "contracts"]
    for contract in applicable(settings["contracts"]):
        lines.append("[[tool.importlinter.contracts]]")
        lines += [f"{key} = {literal(value)}" for key, value in contract.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check the contracts; 0 when all are kept."""
    sys.path.insert(0, str(ROOT))
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(configuration())
        file.flush()
        return lint_imports(config_filename=file.name, cache_dir=None, no_logo=True)


if __name__ == "__main__":
    sys.exit(main())
