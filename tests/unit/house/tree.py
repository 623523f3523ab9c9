"""The files of the repository, as git tracks them, or as they lie there in a tree without git."""

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
SKIPPED: Final = frozenset({".git", ".venv", "__pycache__", "build", "dist"})


def tracked() -> list[Path]:
    """List the tracked files that exist; every file outside caches where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return [
            path
            for path in sorted(ROOT.rglob("*"))
            if path.is_file() and not any(part in SKIPPED or part.startswith(".") for part in path.parts)
        ]
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    """List the tracked Python files, of some top folders or of all."""
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and (not folders or path.relative_to(ROOT).parts[0] in folders)
    ]


def name(path: Path) -> str:
    """Give the path as it is written from the root."""
    return path.relative_to(ROOT).as_posix()
