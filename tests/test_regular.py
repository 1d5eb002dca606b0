"""What is no file is said, and never waited for."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.datalist import find_images
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import VOLUME_SUFFIXES, read_colours, read_image, read_label
from lazylabels_monai.images.pixel_size import read_pixel_size
from lazylabels_monai.labels.formats import read_annotations, read_label_picture, read_legend
from lazylabels_monai.overrides import expanded
from lazylabels_monai.regular import odd_name, why_no_file

ODD = {
    "pipe": (lambda path: os.mkfifo(path), "pipe"),
    "socket": (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "device"),
    "dangling": (lambda path: path.symlink_to("gone"), "link to a file that is not there"),
    "loop": (lambda path: path.symlink_to(path.name), "circle"),
    "folder": (lambda path: path.mkdir(), "folder"),
    "nothing": (lambda path: None, "does not exist"),
}


@pytest.fixture
def odd(request, monkeypatch, tmp_path):
    """By kind and suffix, a path that is no file; in the working folder, as a socket's name must be short."""
    monkeypatch.chdir(tmp_path)

    def make(kind: str, suffix: str) -> Path:
        ODD[kind][0](Path(f"odd{suffix}"))
        return Path(f"odd{suffix}")

    return make


def in_time(action):
    """What an action gives or raises; it must not wait for ever."""
    found = []

    def run():
        try:
            found.append(action())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it waits"
    return found[0]


READERS = {
    "image": (read_image, (".png", ".tif", *VOLUME_SUFFIXES)),
    "label": (read_label, (".png", ".tif", *VOLUME_SUFFIXES)),
    "colours": (read_colours, (".png",)),
    "label picture": (read_label_picture, (".png", ".npy")),
    "annotations": (read_annotations, (".json", ".zip", ".roi", ".geojson.gz", ".csv")),
    "legend": (read_legend, (".json",)),
}


@pytest.mark.parametrize(("reader", "suffix"), [(r, s) for r, (_, suffixes) in READERS.items() for s in suffixes])
@pytest.mark.parametrize("kind", ODD)
def test_no_reader_waits_for_what_is_no_file(odd, kind, reader, suffix):
    path = odd(kind, suffix)
    if kind == "folder" and reader == "label picture":
        return  # of pictures of objects
    error = in_time(lambda: READERS[reader][0](path))
    assert isinstance(error, LazyLabelsError), error
    assert path.name in str(error)
    assert ODD[kind][1] in str(error)


@pytest.mark.parametrize("kind", ODD)
def test_a_pixel_size_is_not_waited_for(odd, kind):
    path = odd(kind, ".tif")
    assert in_time(lambda: read_pixel_size(path)) is None


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png"])
def test_names_that_no_file_can_have(name):
    assert odd_name(name) is not None
    for reader in (read_image, read_label):
        with pytest.raises(LazyLabelsError, match="name"):
            reader(name)


def test_names_that_a_file_can_have(tmp_path):
    for name in ("a.png", "ä ö.png", "a\nb.png", "$(x).png", "~x.png", "-a.png", "x" * 251 + ".png", os.fsdecode(b"\xff.png")):
        (tmp_path / name).write_bytes(b"")
        assert why_no_file(tmp_path / name) is None
    assert why_no_file(tmp_path / ("x" * 300)) == "has a name that is too long"


def test_a_tilde_is_home_unless_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert expanded("~/a") == tmp_path / "me" / "a"
    assert expanded("~nobody_here/a") == tmp_path / "~nobody_here" / "a"  # absolute: MONAI's readers would expand it
    assert expanded("a/~/b") == Path("a/~/b")
    Path("~nobody_here").mkdir()
    assert expanded("~nobody_here/a") == tmp_path / "~nobody_here" / "a"


@pytest.mark.parametrize("kind", ["pipe", "dangling", "socket"])
def test_commands_name_what_is_no_file(odd, tmp_path, kind):
    """It lies among good pictures: ``find_images`` keeps it, so that it is named, and nobody waits."""
    (tmp_path / "inner").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (40, 40), np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(np.eye(40, dtype=np.uint8)).save(tmp_path / "inner" / f"{name}.png")
    path = odd(kind, ".png")
    assert path.name in [Path(name).name for name in find_images(tmp_path)]
    result = in_time(lambda: CliRunner().invoke(app, ["datalist", str(tmp_path), str(tmp_path.with_name("made"))]))
    assert result.exit_code == 1
    assert "odd.png" in str(result.exception) + result.output
    assert isinstance(result.exception, (LazyLabelsError, SystemExit))
