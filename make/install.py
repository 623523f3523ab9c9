"""Make .venv and install one locked set of requirements and the project itself; do nothing when that is done.

Runs on the bare interpreter that `make/python` found: standard library only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv"
PYTHON: Final = VENV / "bin" / "python"
SIZES: Final = {"core": "20 MB", "demo": "50 MB", "stack": "80 MB", "dev": "110 MB", "lock": "20 MB"}
"""What pip downloads on Linux x86-64, measured; to tell the user, nothing depends on it."""
CONTAINS: Final = {
    "core": ("core", "demo", "stack", "dev"),
    "demo": ("demo", "stack", "dev"),
    "stack": ("stack", "dev"),
    "dev": ("dev",),
    "lock": ("lock",),
}
"""Sets whose installation serves the one asked for, too."""
STEP: Final = 10


def digest(path: Path) -> str:
    """Give the first 16 hex digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def stamp(name: str, path: Path) -> Path:
    """Name the file whose presence says that `path`, as it stands, is installed."""
    return VENV / f".installed-{name}-{digest(path)}"


def requirements(name: str) -> Path:
    """Name the lock file of a set."""
    return ROOT / "requirements" / f"{name}.txt"


def pinned(path: Path) -> list[str]:
    """List the distributions that a lock file pins."""
    return sorted(set(re.findall(r"^([A-Za-z0-9][\w.-]*)==", path.read_text(encoding="utf-8"), re.MULTILINE)))


def works() -> bool:
    """Tell whether .venv was made at this place and its interpreter runs, is new enough and has pip."""
    place = VENV / ".made-at"
    if place.exists() and place.read_text(encoding="utf-8") != str(ROOT):
        # The tree was moved or copied: scripts in .venv/bin start the interpreter of the old place.
        return False
    check = "import sys, importlib.util as i; sys.exit(sys.version_info < (3, 11) or not i.find_spec('pip'))"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def ensure_venv() -> None:
    """Create .venv, or create it anew when it does not work any more."""
    if works():
        return
    if VENV.exists():
        print(".venv does not work here: making it anew", flush=True)
        shutil.rmtree(VENV)
    print(f"Making .venv with {sys.executable} ({sys.version.split()[0]})", flush=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    (VENV / ".made-at").write_text(str(ROOT), encoding="utf-8")


def pip(arguments: list[str | Path], total: int) -> None:
    """Run pip, tell how far it is; on failure print what it said and end with its code."""
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar", "off", *arguments]
    environment = os.environ | {
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    said: list[str] = []
    count = 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                count += 1
                if count % STEP == 0:
                    print(f"  {count}/{total} read", flush=True)
            elif total > 1 and line.startswith("Installing collected packages"):
                print("  installing", flush=True)
    if process.returncode:
        sys.stderr.writelines(said[-40:])
        sys.exit(process.returncode)


def install(name: str) -> None:
    """Install the set `name` with its hashes checked, unless it or one that contains it is there already."""
    if any(stamp(wider, requirements(wider)).exists() for wider in CONTAINS[name]):
        return
    path = requirements(name)
    names = pinned(path)
    print(
        f"Installing requirements/{name}.txt into .venv: {len(names)} package(s), about {SIZES[name]}",
        flush=True,
    )
    print("  " + ", ".join(names), flush=True)
    if name != "lock":
        for old in VENV.glob(".installed-*"):
            # Other pins are about to be installed over those the old stamps speak of.
            old.unlink()
    pip(["--require-hashes", "-r", path], len(names))
    stamp(name, path).touch()


def install_project() -> None:
    """Put the project itself into .venv, editable, with nothing downloaded: setuptools is among the locked."""
    done = stamp("project", ROOT / "pyproject.toml")
    if done.exists():
        return
    for old in VENV.glob(".installed-project-*"):
        old.unlink()
    print("Putting the project itself into .venv (nothing is downloaded)", flush=True)
    pip(["--no-deps", "--no-build-isolation", "--editable", "."], 1)
    done.touch()


def main() -> None:
    """Install the set named on the command line."""
    name = sys.argv[1]
    ensure_venv()
    install(name)
    if name != "lock":
        install_project()


if __name__ == "__main__":
    main()
