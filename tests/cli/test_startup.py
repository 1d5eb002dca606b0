"""What a command imports before it does anything: that, and not the work, is what one waits for most of the time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "lazylabels_monai"
NAME = PACKAGE.name

#: Packages whose import takes a tenth of a second or more, MONAI's and torch's seconds.
SLOW = {
    *("cv2", "ignite", "imagecodecs", "itk", "jinja2", "matplotlib", "mlflow", "monai", "nibabel", "numpy", "onnx", "pandas"),
    *("PIL", "pycocotools", "requests", "rich", "scipy", "skimage", "tensorboard", "tifffile", "torch", "yaml"),
}
PICTURES = {"numpy", "PIL", "tifffile"}
LABELS = PICTURES | {"scipy"}
OBJECTS = LABELS | {"skimage"}
MONAI = OBJECTS | {"torch", "monai", "ignite"}

#: What a command may import as soon as it is named; what it needs only for some of its work it imports then.
MAY = {
    "bench": MONAI,
    "budget": LABELS,
    "check": OBJECTS,
    "crop": LABELS,
    "datalist": OBJECTS,
    "experiment": MONAI | {"yaml"},
    "export_objects": OBJECTS | {"pandas"},
    "grabcut": OBJECTS | {"cv2"},
    "measure": OBJECTS | {"pandas"},
    "monai_label": OBJECTS | {"monai"},
    "napari": MONAI | {"cv2", "jinja2", "pandas"},  # a window that stays open
    "pack": MONAI | {"yaml"},
    "predict": MONAI,
    "report": OBJECTS | {"pandas", "jinja2"},
    "results": MONAI,
    "score": MONAI,
    "simulate": LABELS,
    "suggest": MONAI,
    "synthetic": LABELS,
    "train": OBJECTS | {"torch"},  # torch where it was not built for the CPU alone; the child that trains imports all
    "tune": MONAI,
}
COMMANDS = sorted(path.stem for path in (PACKAGE / "cli").glob("*.py") if path.stem not in ("__init__", "options"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def sources() -> dict[str, ast.Module]:
    return {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def at_once(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when a module is imported: no bodies of functions, nothing for types alone."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            todo.extend(ast.iter_child_nodes(node))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def reached(names: set[str], sources: dict[str, ast.Module]) -> set[str]:
    """Packages that importing these names imports, by way of modules of ours."""
    found, seen, todo = set(), set(), list(names)
    while todo:
        parts = todo.pop().split(".")
        if parts[0] != NAME:
            found.add(parts[0])
            continue
        for module in (".".join(parts[: end + 1]) for end in range(len(parts))):
            if module in sources and module not in seen:
                seen.add(module)
                todo += imported(at_once(sources[module]))
    return found


def test_the_table_names_every_command():
    assert sorted(MAY) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_no_more_than_its_row_says(sources, command):
    names = imported(ast.walk(sources[f"{NAME}.cli.{command}"]))
    assert sorted(reached(names, sources) & SLOW - MAY[command]) == []


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("import pandas", {"pandas"}),
        ("class A:\n    import pandas", {"pandas"}),
        ("def f():\n    import pandas", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas", set()),
        ("if True:\n    from skimage.feature import peak_local_max", {"skimage"}),
        (f"from {NAME}.b import c", {"torch"}),
    ],
)
def test_what_a_module_imports_is_seen(text, slow):
    made = {f"{NAME}.a": ast.parse(text), f"{NAME}.b.c": ast.parse("import torch"), f"{NAME}.b": ast.parse("")}
    assert reached({f"{NAME}.a.x"}, made) & SLOW == slow


def test_help_imports_nothing_slow(bundle):
    script = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from lazylabels_monai.cli import app\n"
        "run = CliRunner().invoke\n"
        "codes = [run(app, [*name, '--help']).exit_code for name in ((), *((c.name or c.callback.__name__.replace('_', '-'),)"
        " for c in app.registered_commands))]\n"
        "print(json.dumps([codes, sorted({name.partition('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=bundle.environment, capture_output=True, text=True, check=True, timeout=120
    )
    codes, modules = json.loads(done.stdout)
    assert codes == [0] * len(codes)
    assert len(codes) > len(COMMANDS)
    assert SLOW & set(modules) == set()
