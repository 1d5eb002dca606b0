"""Licences of the packages that requirements.txt installs, and of what they require, as their own metadata says.

python tools/licences.py            # a table in Markdown
python tools/licences.py --direct   # those named in requirements.txt alone
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def named(file: Path) -> list[str]:
    """Packages of a requirements file."""
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [_NAME.match(line).group() for line in lines if line and not line.startswith("-")]


def closure(names: list[str]) -> Iterator[Distribution]:
    """The packages and all that they require here, each once."""
    todo, seen = list(names), set()
    while todo:
        name = todo.pop(0)
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of another system or Python
            continue
        yield found
        todo += [_NAME.match(line).group() for line in found.requires or () if "extra ==" not in line]


def licence(package: Distribution) -> str:
    """In a few words: the expression, else the classifiers, else the first line of the text."""
    about = package.metadata
    if expression := about.get("License-Expression"):
        return expression
    kinds = [c.split(" :: ")[-1] for c in about.get_all("Classifier", ()) if c.startswith("License ::")]
    if kinds:
        return ", ".join(kinds)
    return (about.get("License") or "not stated").strip().splitlines()[0][:60]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", action="store_true")
    names = named(ROOT / "requirements.txt")
    found = [distribution(name) for name in names] if parser.parse_args().direct else list(closure(names))
    print("| package | version | licence |\n|---|---|---|")
    for package in sorted(found, key=lambda each: each.metadata["Name"].lower()):
        print(f"| {package.metadata['Name']} | {package.version} | {licence(package)} |")


if __name__ == "__main__":
    main()
