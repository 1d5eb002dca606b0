"""The house: no circle of imports, and no module imports from one further up. The order is that of CONTRIBUTING.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lazylabels_monai"
NAME = PACKAGE.name

#: From the ground up. A module imports from its own floor and from those below it.
FLOORS = (
    (
        "errors",
        "export_records",
        "late",
        "threads",
        "batch_threads",
        "bundle_program",
        "class_names",
        "config_files",
        "config_text",
        "provenance",
        "memory",
        "overrides",
        "option_text",
        "json_values",
        "tasks",
        "atomic",
        "progress",
        "result_files",
        "spreadsheets",
        "stamps",
        "devices",
        "precision",
        "digests",
        "locks",
        "memory",
        "regular",
        "spelling",
        "stopping",
        "tensor_files",
        "training_file",
    ),
    ("images",),
    ("bundle_folder",),
    ("labels", "instances"),
    ("data",),
    ("transforms", "networks", "metrics"),
    ("losses", "inferers", "consistency", "anchoring", "engines", "handlers", "guards", "optimizers", "pace", "random_states"),
    ("parts",),
    ("plain_values", "settings"),
    ("trained", "network_file"),
    ("checkpoints", "warm_start"),
    ("final_choice",),
    ("fine_tuning",),
    ("interpolation",),
    ("resuming",),
    ("workflow", "predicting"),
    ("evaluation", "measure", "suggest"),
    ("report", "packing", "exporting", "starter"),
    ("interactive",),
    ("experiments", "apps", "bench"),
    ("cli",),
    ("__main__",),
)
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def dotted(path: Path, root: Path = PACKAGE) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, known: frozenset[str]) -> Iterator[str]:
    """Modules of the package that a module names in an import, those inside functions and for types alone too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == NAME)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that a module can be moved"
            if (node.module or "").partition(".")[0] == NAME:
                below = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in known else node.module for name in below)


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    known = frozenset(sources)
    found = {name: set(imports(ast.parse(text), known)) for name, text in sources.items()}
    for name, targets in found.items():
        for target in targets:
            assert target in known, f"{name} imports {target}, which is not there"
    # the package itself holds the version alone, which anybody may read
    return {name: targets - {NAME, name} for name, targets in found.items()}


def upward(found: Mapping[str, set[str]]) -> list[str]:
    """Imports from a higher floor, as "a -> b"."""

    def floor(module: str) -> int:
        return FLOOR[module.split(".")[1]]

    return sorted(f"{a} -> {b}" for a, targets in found.items() if a != NAME for b in targets if floor(b) > floor(a))


def circle(found: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; empty where there is none."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def house() -> dict[str, set[str]]:
    return graph({dotted(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))})


def test_every_module_has_a_floor(house):
    assert {module.split(".")[1] for module in house if module != NAME} == set(FLOOR)


def test_no_import_leads_upwards(house):
    assert upward(house) == []


def test_no_circle(house):
    assert circle(house) == []


def folders(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between the parts of the package: folders, and modules that lie in none."""
    parts: dict[str, set[str]] = {}
    for module, targets in found.items():
        if module != NAME:
            part = module.split(".")[1]
            parts.setdefault(part, set()).update({target.split(".")[1] for target in targets} - {part})
    return parts


def test_no_circle_between_folders(house):
    assert circle(folders(house)) == []


@pytest.mark.parametrize(
    ("sources", "bad"),
    [
        ({"images.axes": "from lazylabels_monai.data import datalist"}, "images.axes -> lazylabels_monai.data.datalist"),
        ({"labels.inner": "def f():\n    import lazylabels_monai.cli"}, "labels.inner -> lazylabels_monai.cli"),
    ],
)
def test_an_import_that_leads_upwards_is_seen(sources, bad):
    made = {f"{NAME}.{name}": text for name, text in sources.items()}
    made |= {f"{NAME}.{name}": "" for name in ("data", "data.datalist", "cli")}
    assert upward(graph(made)) == [f"{NAME}.{bad}"]


def test_a_circle_is_seen():
    made = {f"{NAME}.predicting.a": f"from {NAME}.predicting.b import x", f"{NAME}.predicting.b": f"import {NAME}.predicting.a"}
    assert set(circle(graph(made))) == set(made)


#: Who turns axes between numpy's order and MONAI's; nobody else does by hand.
AXES = "images/axes.py"


def test_axes_are_turned_in_one_place():
    """``.T``, ``transpose`` and the like of whole images; tables of coordinates and matrices are not images."""
    parts = ("transforms", "predicting", "packing", "apps", "data/checking", "data/contact_sheet.py", "handlers.py", "report")
    found = []
    for part in parts:
        place = PACKAGE / part
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in ("T", "transpose", "swapaxes", "permute"):
                    found.append(f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}")
    # a table of points, and a module whose forward TorchScript must be able to compile
    known = ("report/figures.py", "packing/bioimage.py")
    assert [place for place in found if not place.startswith(known)] == []


def test_the_datalists_name_stands_in_one_module():
    literals = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "datalist.json"
    ]
    assert literals == ["data/datalist.py"]
