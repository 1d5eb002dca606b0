"""Commands on folders, images and weights whose names mean something to MONAI, a shell, a browser or a spreadsheet.

    python tools/strange_names.py            # 31 names, 15 calls each: ten minutes
    python tools/strange_names.py --quick    # 4 names; --names 4:10 those of these numbers

All paths are relative, in a working folder of the same name. Names that are code would make a file called RUN: none may be
there at the end, and each call ends well or with one sentence.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.errors import user_error
from tools.memory import weights

NAMES = (
    "$__import__('pathlib').Path('RUN').touch()",
    "@seed",
    "%seed",
    "a#b@::c",
    "$open('RUN','w')",
    "@x",
    "%x",
    "$x",
    "@@seed",
    "${1}",
    "$import os",
    "a$@seed",
    "#a",
    "a::b",
    "$(touch RUN)",
    "`touch RUN`",
    "a;touch RUN",
    "-rf",
    "--help",
    "=1+1",
    "a b'c\"d",
    "new\nline",
    "<script>",
    "{a}",
    "~nobody",
    "ü",
    "a,b",
    "1e3",
    "None",
    "%s{0}",
    "...",
)


def outcome(*arguments: object) -> str:
    """ "ok", one sentence, or what kind of fault it was."""
    # a shell's user writes ./-rf, too, but a Path forgets the dot
    words = [f"./{a}" if isinstance(a, Path) and str(a).startswith("-") else str(a) for a in arguments]
    done = CliRunner().invoke(app, words)
    error = done.exception
    if error is None or isinstance(error, SystemExit):
        return "ok" if done.exit_code == 0 else f"FAULT: exit {done.exit_code}"
    return f"sentence: {found}" if (found := user_error(error)) is not None else f"FAULT: {type(error).__name__} {error}"


def calls(name: str, data: Path, model: Path) -> Iterator[tuple[str, str]]:
    """Each command and its outcome, in the working folder."""

    def sub(end: str) -> str:
        return f"./{name}{end}" if name.startswith("-") else f"{name}{end}"

    pictures, models, dataset = Path(sub("img")), Path(sub("w")), Path(sub("set"))
    pictures.mkdir()
    shutil.copy(data / "images" / "microstructure_test_000.png", pictures / f"{name}.png")
    shutil.copytree(model.parent, models)
    shutil.copytree(data, dataset)
    content = json.loads((dataset / "datalist.json").read_text())
    for section in ("training", "validation", "testing"):
        item = content[section][0]
        new = f"images/{name}{section}.png"
        (dataset / item["image"]).rename(dataset / new)
        item["image"] = new
    (dataset / "datalist.json").write_text(json.dumps(content))
    named = ("--weights", models / "model.pt")
    for command in (
        ("predict", pictures, "--out", sub("out"), *named),
        ("predict", pictures, "--out", sub("out2"), "--uncertainty", *named),
        ("measure", sub("out"), sub("measured"), "--images", pictures, "--pixel-size", "1um"),
        ("report", sub("out"), "--images", pictures),
        ("export-objects", sub("out"), "--to", sub("roi"), "--format", "roi"),
        ("export-objects", sub("out"), "--to", sub("geojson"), "--format", "geojson"),
        ("export-objects", sub("out"), "--to", sub("coco"), "--format", "coco", "--images", pictures),
        ("check", dataset),
        ("tune", dataset, "--overwrite", *named),
        ("suggest", pictures, "--out", sub("suggested.csv"), *named),
        ("pack", sub("p.zip"), *named),
        ("monai-label", f"{sub('app')}/x", *named),
        ("export", dataset, sub("exported")),
        ("predict", dataset / "images", "--out", sub("out3"), *named),
        ("score", dataset, sub("out3"), "--out", sub("scored")),
    ):
        yield command[0], outcome(*command)


def main() -> None:
    """Print what did not end well, and whether anything was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--names", default="0:1000", help="from which to which number")
    given = parser.parse_args()
    first, last = map(int, given.names.split(":"))
    names = NAMES[:4] if given.quick else NAMES[first:last]
    logging.disable(logging.WARNING)
    count = faults = 0
    run: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = {"num_train": 2, "num_validation": 1, "num_test": 1, "size": (48, 64)}
        make_dataset(place / "set", **sizes, strong=1, detection=2, separation=2, seed=0)
        (place / "models").mkdir()
        model = weights(place / "models")
        for number, name in enumerate(names):
            here = place / str(number) / name
            here.mkdir(parents=True)
            os.chdir(here)
            for command, said in calls(name, place / "set", model):
                count += 1
                faults += said.startswith("FAULT")
                if said != "ok":
                    print(f"{name!r} {command}: {said}", flush=True)
            run += [str(file) for file in (place / str(number)).rglob("RUN")]
            os.chdir(place)
            shutil.rmtree(place / str(number))
            print(f"{number + 1} of {len(names)}: {name!r}", flush=True)
    print(f"{len(names)} names, {count} calls: {len(run)} ran, {faults} faults")
    raise SystemExit(bool(run or faults))


if __name__ == "__main__":
    main()
