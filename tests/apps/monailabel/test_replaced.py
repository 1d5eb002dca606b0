"""Pictures that were replaced since their labels were saved."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.apps.monailabel.replaced import note_pictures, require_same_pictures
from lazylabels_monai.apps.monailabel.store import known_items, labelled_items
from lazylabels_monai.errors import LazyLabelsError


class Pool:
    """A folder of pictures as MONAI Label knows it: labels by the picture's name without ending, whatever that shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def refresh(self) -> None:
        """Nothing is kept."""

    def list_images(self) -> list[str]:
        return [file.stem for file in self.folder.iterdir() if file.is_file()]

    def get_image_uri(self, image: str) -> str:
        return str(next(file.resolve() for file in self.folder.iterdir() if file.is_file() and file.stem == image))

    def get_labels_by_image_id(self, image: str) -> dict[str, str]:
        return {file.parent.name: file.stem for file in self.folder.glob(f"labels/*/{image}.png")}

    def get_label_uri(self, label: str, tag: str) -> str:
        return str(self.folder / "labels" / tag / f"{label}.png")


class App:
    """Folders of an app and its pictures."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models, self.pool = root / "models", root / "pool"
        self.models.mkdir(parents=True, exist_ok=True)

    def look(self) -> None:
        note_pictures(known_items(Pool(self.pool)), self.models)

    def round(self) -> None:
        require_same_pictures(labelled_items(Pool(self.pool), self.pool), self.models)

    def refused(self) -> str:
        with pytest.raises(LazyLabelsError) as said:
            self.round()
        assert "\n" not in str(said.value)
        return str(said.value)

    def label(self, tag: str, name: str = "a", value: int = 1) -> None:
        write(self.pool / "labels" / tag / f"{name}.png", value)


SECONDS = itertools.count(10**9)


def write(file: Path, value: int) -> None:
    """A small picture, a second later than the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 12), value, np.uint8)).save(file)
    os.utime(file, (next(SECONDS),) * 2)


@pytest.fixture
def app(tmp_path) -> App:
    """Two pictures, one with labels of two tasks, looked at once."""
    made = App(tmp_path / "app")
    for number, name in enumerate("ab"):
        write(made.pool / f"{name}.png", number)
    made.label("detection")
    made.label("segmentation")
    made.label("predicted_detection", "b")
    made.look()
    made.round()
    return made


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_picture_that_was_replaced_since_its_labels_were_saved_is_refused(app, ending):
    (app.pool / "a.png").unlink()
    write(app.pool / f"a.{ending}", 7)
    said = app.refused()
    assert f"'{app.pool / f'a.{ending}'}' has other pixels" in said
    assert f"'{app.pool / 'labels' / 'segmentation' / 'a.png'}' was saved for (and 1 more): put" in said
    app.look()  # the server starts again
    assert app.refused() == said


def test_each_remedy_helps(app, tmp_path):
    shutil.copy2(app.pool / "a.png", tmp_path / "before.png")
    write(app.pool / "a.png", 7)
    app.refused()
    shutil.copy(tmp_path / "before.png", app.pool / "a.png")
    app.round()
    write(app.pool / "a.png", 7)
    app.label("segmentation", value=2)  # of this one
    assert "labels/detection/a.png" in Path(app.refused()).as_posix()
    app.label("detection")  # the same as before: it fits
    app.round()
    write(app.pool / "a.png", 8)
    assert "(and 1 more)" in app.refused()  # known as the one that the labels are of now
    for tag in ("detection", "segmentation"):
        (app.pool / "labels" / tag / "a.png").unlink()
    app.label("detection", "b")
    app.round()


def test_a_picture_that_is_replaced_before_it_has_a_label_is_no_matter(app):
    write(app.pool / "b.png", 7)
    app.label("segmentation", "b")
    app.look()
    app.round()


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
def test_copied_folders_are_no_matter(app, tmp_path, copy):
    other = App(tmp_path / "copy")
    shutil.copytree(app.root, other.root, copy_function=copy, dirs_exist_ok=True)
    other.round()
    shutil.copytree(other.root, app.root, copy_function=copy, dirs_exist_ok=True)  # back from there
    app.round()


def test_files_of_the_same_pixels_are_no_matter(app):
    write(app.pool / "a.png", 0)
    app.round()
    write(app.pool / "a.tif", 0)
    (app.pool / "a.png").unlink()
    app.round()
    app.pool.joinpath("a.tif").touch()
    app.round()


def test_a_picture_that_cannot_be_read_is_left_to_the_check_of_the_data_set(app):
    (app.pool / "a.png").write_bytes(b"no picture")
    app.round()
    write(app.pool / "a.png", 0)
    app.round()
    write(app.pool / "a.png", 7)
    app.refused()


def test_a_picture_that_did_not_change_is_not_read(app, monkeypatch):
    """A later version of a library may read the same JPEG a little otherwise."""
    monkeypatch.setattr("lazylabels_monai.interactive.pixel_digests.read_image", lambda path: pytest.fail(f"{path} was read"))
    app.look()
    app.round()
