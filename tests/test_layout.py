"""Tests mirror the package: ``tests/a/test_b.py`` tests ``lazylabels_monai/a/b.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGE, TESTS = ROOT / "lazylabels_monai", ROOT / "tests"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

#: Modules whose tests lie elsewhere, and where. Of packages' faces, ``__init__.py``, only those that do something count.
ELSEWHERE = {
    "__main__.py": "cli/test_commands.py",
    "network_file.py": "test_trained.py",  # what lies beside the weights is tested together
    "bundle_program.py": "cli/test_train.py",  # the program that the command runs
    "cli/__init__.py": "cli/test_commands.py",
    "cli/experiment.py": "experiments/test_runner.py",  # the command is how a comparison is run
    "cli/pack.py": "packing/test_archive.py",
    "labels/choices.py": "cli/test_simulate.py",  # names and numbers for the command line
    "interactive/child.py": "interactive/test_trainer.py",  # the process that a trainer starts
    "labels/formats/__init__.py": "labels/formats/test_formats.py",
    "labels/implied.py": "transforms/test_implied.py",  # the rules, by the transforms that apply them
    "labels/marking.py": "data/simulating/test_simulate.py",
    "labels/rasterize.py": "labels/test_annotations.py",
    "data/building/summary.py": "cli/test_datalist.py",
    "data/simulating/exact.py": "data/simulating/test_simulate.py",
    "data/simulating/items.py": "data/simulating/test_simulate.py",
    **{f"data/simulating/scene_{name}.py": "data/simulating/test_scenes.py" for name in ("noise", "objects", "painting")},
    "data/simulating/writing.py": "data/simulating/test_simulate.py",
    "predicting/results.py": "predicting/test_folder.py",  # by predictions into folders that hold something
    **{f"predicting/large/{name}.py": "predicting/large/test_predict.py" for name in ("judging", "stages")},
    "report/sizes.py": "report/test_page.py",  # what stands in the page
    "exporting/formats/writer.py": "exporting/test_folder.py",  # what every writer does
    "experiments/figures.py": "experiments/test_tables.py",
    "networks/base.py": "networks/test_nets.py",  # what every network passes
    "starter/__main__.py": "starter/test_making.py",
    "networks/dmunet.py": "networks/test_nets.py",
    # each program needs an environment of its own
    **{f"apps/deploy/{name}.py": "acceptance/deploy/test_deploy.py" for name in ("app", "cuda", "operators", "staging")},
    **{
        f"apps/monailabel/{name}.py": "acceptance/monailabel/test_servers.py"
        for name in ("app", "infer", "strategies", "trainer")
    },
    # the window, moved by mouse and keys
    **{
        f"apps/napari/{name}.py": f"acceptance/napari/test_{test}.py"
        for test, names in {
            "drawing": ("dock", "draw_panel", "images_panel", "mark_layers", "opening", "tools"),
            "messages": ("messages",),
            "rounds": (
                "correct_panel",
                "prediction_layers",
                "predictions",
                "session",
                "sizes_panel",
                "train_panel",
                "folder_panel",
            ),
            "first_steps": ("corrections", "finished", "predictions"),
            "clumsy": ("current", "drawing_order", "picture_layer", "work"),
            "looks": ("visibility", "widgets"),
        }.items()
        for name in names
    },
}


def place(module: str) -> Path:
    """The test file of a module, by its path in the package."""
    folder, _, name = module.rpartition("/")
    return TESTS / ELSEWHERE.get(module, Path(folder, f"test_{name}"))


def has_tests(path: Path) -> bool:
    return path.is_file() and "\ndef test_" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__init__.py") or module in ELSEWHERE])
def test_every_module_has_tests_at_its_place(module):
    assert has_tests(place(module)), f"{place(module).relative_to(ROOT)} has no test"


def test_no_module_is_listed_that_is_not_there_or_lies_at_its_place():
    assert [module for module in ELSEWHERE if module not in MODULES] == []
    assert [module for module in ELSEWHERE if (TESTS / module).with_name(f"test_{Path(module).name}").is_file()] == []


def test_faces_of_packages_define_nothing_unless_they_are_listed():
    faces = [module for module in MODULES if module.endswith("__init__.py") and module not in ELSEWHERE]
    defined = [face for face in faces if "\ndef " in (text := (PACKAGE / face).read_text()) or "\nclass " in text]
    assert defined == []
