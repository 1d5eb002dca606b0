"""Folders, records and scores of small comparisons."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import yaml

from lazylabels_monai.experiments.runner import Places
from lazylabels_monai.experiments.statistics import pooled_f1
from tests.helpers import ROOT

FOLDER = ROOT / "configs" / "experiments"


OWN = ("sets.yaml", "methods.yaml", "scales.yaml")


TABLES = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in OWN)


def write_spec(folder: Path, name: str = "small", **group) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"title": "Small", "seeds": [0], "groups": [{"set": "synthetic", **group}]}))
    return path


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "out", tmp_path / "results", tmp_path / "made")


def scores(dice: list[float], counts: list[tuple[int, int, int]]) -> dict:
    columns = dict(zip(("tp", "fp", "fn"), map(list, zip(*counts, strict=True)), strict=True))
    return {
        "dice": {"bubble": float(np.mean(dice)), "mean": float(np.mean(dice))},
        "way": "components",
        "f1": pooled_f1(np.array(counts, float)),
        "f1 by way": {"components": pooled_f1(np.array(counts, float))},
        "objects": {},
        "separation": {"precision": None, "recall": None},
        "images": {"image": [f"i{n}" for n in range(len(dice))], "dice bubble": dice, **columns},
    }


def record(**scores_by_section) -> dict:
    about = {"set": "synthetic", "data": "lazy", "method": "m", "seed": 0, "scale": "tiny", "date": "2026-01-02"}
    return {**about, "machine": "a machine", "versions": {"torch": "2"}, "minutes": {"training": 3.0}, **scores_by_section}


def datalist(made: Places, variant: str) -> dict:
    return json.loads((made.data / "tiny" / f"synthetic-{variant}_s0" / "datalist.json").read_text())


def external(specs: Path, tmp_path: Path, **more) -> Path:
    """A method that is a program of a few lines: the images' class maps are one class, with a line of interface."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib, sys\n"
        "import numpy as np\n"
        "from PIL import Image\n"
        "labels, out, seed = map(pathlib.Path, sys.argv[1:])\n"
        "about = json.loads((labels / 'dataset.json').read_text())\n"
        "for section, name in (('testing', 'predictions'), ('validation', 'validation_predictions')):\n"
        "    (out / name).mkdir()\n"
        "    for path in (labels / section / 'images').iterdir():\n"
        "        classes = np.ones((64, 64), np.uint8)\n"
        "        classes[:, 30:33] = about['interface']\n"
        "        Image.fromarray(classes).save(out / name / f'{path.stem}.png')\n"
        "(out / 'about.json').write_text(json.dumps({'versions': {'program': '7'}, 'settings': {'seed': str(seed)}}))\n"
    )
    methods = yaml.safe_load((specs / "methods.yaml").read_text())
    command = f'"{sys.executable}" "{program}" {{labels}} {{out}} {{seed}}'
    methods["external"] = {"title": "another program", "command": command, **more}
    (specs / "methods.yaml").write_text(yaml.safe_dump(methods))
    return write_spec(specs, methods=["external"])
