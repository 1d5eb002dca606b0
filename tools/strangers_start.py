"""The first steps on other people's machines: each case predicts a picture and writes its report, and prints how it went.

    python tools/strangers_start.py [--only TMPDIR,CRLF] [--resolve]

The package, the bundle and the overlays are copied first, so that a case may take the right to write away. What this machine
cannot try is said. Linux; some cases need root (`unshare`, `setpriv`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def program(folder: Path) -> Path:
    """A copy of what an installation holds."""
    for name in ("lazylabels_monai", "bundle", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def pictures(folder: Path, names: Sequence[str] = ("a.png",)) -> Path:
    """Pictures to predict."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in names:
        Image.fromarray(random.integers(0, 255, (70, 90), np.uint8)).save(folder / name)
    return folder


def first_steps(
    code: Path, images: Path, out: Path, weights: Path | None = None, before: Sequence[str] = (), **variables: str
) -> str:
    """ "works", or the last line of what went wrong."""
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME", "TMPDIR")}
    known |= {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    named = [] if weights is None else ["--weights", str(weights)]
    for arguments in (["predict", str(images), "--out", str(out), *named], ["report", str(out), "--images", str(images)]):
        command = [*before, sys.executable, "-m", "lazylabels_monai", *arguments]
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False, cwd=images, errors="replace")
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return f"{arguments[0]} ends with {done.returncode}: {lines[-1] if lines else ''}"
    return "works" if (out / "report.html").is_file() else "no report"


def can(command: Sequence[str]) -> bool:
    """Whether this machine lets that be tried."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def frozen(folder: Path) -> None:
    """Take the right to write away."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def with_crlf(weights: Path, folder: Path) -> Path:
    """Weights whose texts were saved by Windows."""
    shutil.copytree(weights.parent, folder)
    for file in folder.glob("*.json"):
        file.write_bytes(b"\xef\xbb\xbf" * (file.name == "nothing") + file.read_bytes().replace(b"\n", b"\r\n"))
    return folder / weights.name


def syntax(version: str) -> str:
    """Whether a Python of this version reads all modules; run this tool by it to try the first steps with it."""
    places = [shutil.which(f"python{version}"), *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    found = next((str(place) for place in places if place is not None and can([str(place), "-c", "1"])), None)
    code = (
        "import ast, pathlib, sys; [ast.parse(p.read_text(encoding='utf-8'), str(p)) for p in "
        "pathlib.Path(sys.argv[1]).rglob('*.py')]; print(sys.version.split()[0])"
    )
    if found is None:
        return "not here"
    done = subprocess.run([found, "-c", code, str(ROOT / "lazylabels_monai")], capture_output=True, text=True, check=False)
    return f"{done.stdout.strip()} reads every module" if not done.returncode else done.stderr.strip().splitlines()[-1]


def resolves(version: str) -> str:
    """Whether the package index has all that requirements.txt asks for, for this version of Python; takes minutes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--target", folder]
        command += ["--python-version", version, "--only-binary", ":all:", "-r", str(ROOT / "requirements.txt")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return "requirements.txt can be installed" if not done.returncode else (errors or ["pip failed"])[-1]


def cases(place: Path) -> Mapping[str, object]:
    """The cases by what is unusual, each to be called."""
    code = program(place / "program")
    starter = code / "lazylabels_monai" / "starter" / "model.pt"
    odd = place / "Bilder für Müller (2026)"
    plain = pictures(place / "images")

    def steps(name: str, **more: object) -> str:
        return first_steps(
            more.pop("code", code), more.pop("images", plain), place / name, more.pop("weights", starter), **more
        )

    def nobody() -> str:
        if not can([*_NOBODY, sys.executable, "-c", "1"]):
            return "not tried: this Python is not to be run by other users here"
        place.chmod(0o755)
        theirs = place / "theirs"
        theirs.mkdir(mode=0o777)
        theirs.chmod(0o777)
        home = str(theirs)
        return first_steps(code, plain, theirs / "out", starter, _NOBODY, HOME=home, TMPDIR=home)

    def read_only() -> str:
        frozen_code = program(place / "frozen")
        frozen(frozen_code)
        before = _NOBODY if can([*_NOBODY, sys.executable, "-c", "1"]) else []
        theirs = place / "of_the_frozen"
        theirs.mkdir()
        theirs.chmod(0o777)
        home = str(theirs)
        found = first_steps(frozen_code, plain, theirs / "out", None, before, HOME=home, TMPDIR=home)
        return found if before or os.getuid() else f"{found} (as root, whom rights do not stop)"

    def offline() -> str:
        before = ["unshare", "-n"]
        return steps("offline", before=before) if can([*before, "true"]) else "not tried: unshare -n is not allowed here"

    return {
        "spaces, umlauts and brackets in every path": lambda: first_steps(
            program(odd / "das Programm"), pictures(odd / "Aufnahmen 1", ["Kristall ü [1].png"]), odd / "Ergebnis", None
        ),
        "no network": offline,
        "another user than root": nobody,
        "package folder without the right to write": read_only,
        "home folder that cannot be written (/proc)": lambda: steps("nohome", HOME="/proc/nothing"),
        "TMPDIR elsewhere": lambda: steps("tmp", TMPDIR=str(pictures(place / "other tmp ü"))),
        "TMPDIR that does not exist": lambda: steps("notmp", TMPDIR=str(place / "missing")),
        "TMPDIR that cannot be written (/proc)": lambda: steps("closedtmp", TMPDIR="/proc"),
        "C locale": lambda: steps("c", LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        "C locale, and umlauts": lambda: first_steps(
            code,
            pictures(odd / "Aufnahmen 2", ["Kristall ü [1].png"]),
            odd / "Ergebnis C",
            starter,
            LC_ALL="C",
            PYTHONUTF8="0",
            PYTHONCOERCECLOCALE="0",
        ),
        "CRLF in the files beside the weights": lambda: steps("crlf", weights=with_crlf(starter, place / "crlf weights")),
    }


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parts of the cases' names, separated by commas")
    parser.add_argument("--resolve", action="store_true", help="ask the package index about each version of Python, too")
    given = parser.parse_args()
    chosen = given.only.split(",")
    print(f"{datetime.date.today()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(Path(folder)).items():
            if not any(part in name for part in chosen):
                continue
            outcome = case()
            bad += not outcome.startswith(("works", "not tried"))
            print(f"{name}: {outcome}", flush=True)
        for path in Path(folder).rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
    for version in _PYTHONS:
        print(f"Python {version}: {syntax(version)}", flush=True)
        if given.resolve:
            outcome = resolves(version)
            bad += version != "3.14" and not outcome.startswith("requirements.txt can")
            print(f"Python {version}: {outcome}", flush=True)
    print(json.dumps({"failed": bad}))
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
