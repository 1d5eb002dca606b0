"""Labels painted as pictures: ids, colours and their legends."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.annotations import AnnotationError
from lazylabels_monai.labels.formats import (
    read_label_picture,
    read_legend,
)
from tests.labels.formats.drawing import SHAPE


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(suffix, dtype) for suffix in (".tif", ".npy") for dtype in (np.uint8, np.uint16, np.int32, np.uint32, np.int64)]
    + [(".png", np.uint8), (".png", np.uint16)],
)
def test_ids_of_a_label_layer_are_kept(tmp_path, suffix, dtype):
    expected = np.random.default_rng(0).integers(0, min(np.iinfo(dtype).max, 3_000_000_000), SHAPE).astype(dtype)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, expected)
    elif suffix == ".tif":
        tifffile.imwrite(path, expected, compression="zlib")  # as napari does
    else:
        Image.fromarray(expected).save(path)
    drawn = read_label_picture(path)
    assert drawn.dtype.kind in "iu"
    np.testing.assert_array_equal(drawn, expected)


RED, GREEN, BLUE, BLACK = (255, 0, 0), (3, 200, 10), (0, 0, 255), (0, 0, 0)


def colours():
    """Classes 0, 1, 2, 7 and their picture."""
    classes = np.zeros(SHAPE, np.int64)
    classes[5:20, 10:70] = 1
    classes[30:, :9] = 7
    classes[40:, 50:] = 2
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[classes == 1] = RED
    picture[classes == 2] = GREEN
    picture[classes == 7] = BLUE
    return classes, picture


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colours_become_the_values_of_the_legend(tmp_path, mode, suffix):
    classes, picture = colours()
    image = Image.fromarray(picture)
    image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=4) if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"a{suffix}")
    drawn = read_label_picture(tmp_path / f"a{suffix}", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})
    np.testing.assert_array_equal(drawn, classes)


@pytest.mark.parametrize("compression", ["jpeg", "webp"])
def test_a_lossy_picture_of_colours_is_refused_whatever_its_name(tmp_path, compression):
    _, picture = colours()
    args = {"lossless": False, "level": 90} if compression == "webp" else {}
    tifffile.imwrite(tmp_path / "a.png", picture, photometric="rgb", compression=compression, compressionargs=args)
    with pytest.raises(LazyLabelsError, match=r"a\.png' is a TIFF of lossy .*alters class values"):
        read_label_picture(tmp_path / "a.png", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})


def test_nothing_was_drawn_where_a_picture_of_colours_is_transparent(tmp_path):
    classes, picture = colours()
    picture[classes == 0] = 1, 2, 3  # what a drawing program left there
    Image.fromarray(np.dstack([picture, (classes > 0) * np.uint8(255)])).save(tmp_path / "a.png")
    drawn = read_label_picture(tmp_path / "a.png", {RED: 1, GREEN: 2, BLUE: 7})
    np.testing.assert_array_equal(drawn, classes)


def test_three_channels_that_nobody_called_colours(tmp_path):
    classes, picture = colours()
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="minisblack", planarconfig="contig")
    drawn = read_label_picture(tmp_path / "a.tif", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})
    np.testing.assert_array_equal(drawn, classes)


def test_a_gray_palette_with_a_legend_has_colours(tmp_path):
    index = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    image = Image.fromarray(index)
    image.putpalette([0, 0, 0, 128, 128, 128, 255, 255, 255])
    image.save(tmp_path / "a.png")
    legend = {BLACK: 0, (128, 128, 128): 5, (255, 255, 255): 2}
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.png", legend), np.array([0, 5, 2])[index])


def test_colours_the_legend_lacks_are_counted(tmp_path):
    _, picture = colours()
    picture[0, :5] = (128, 0, 0)
    picture[1, :3] = (127, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(AnnotationError, match=r"a\.png' has 8 pixels of 2 colours .*#800000: 5, #7f0000: 3"):
        read_label_picture(tmp_path / "a.png", {BLACK: 0, RED: 1, GREEN: 2, BLUE: 7})


def test_a_gray_picture_needs_no_legend(tmp_path):
    classes, _ = colours()
    Image.fromarray(classes.astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.png", {RED: 1}), classes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: Image.fromarray(colours()[1]).save(p.with_suffix(".png")), "colour"),
        (lambda p: Image.fromarray(colours()[1]).save(p.with_suffix(".jpg")), "JPEG"),
        (lambda p: np.save(p.with_suffix(".npy"), np.zeros((2, 3, 4), int)), r"\(2, 3, 4\)"),
        (lambda p: np.save(p.with_suffix(".npy"), np.zeros((2, 3))), "float64"),
        (lambda p: np.save(p.with_suffix(".npy"), np.array([{}]), allow_pickle=True), "cannot be read"),
        (lambda p: p.with_suffix(".npy").write_bytes(b"no array"), "cannot be read"),
        (lambda p: np.savez(p.with_suffix(".npz"), a=[1]) or p.with_suffix(".npz").rename(p.with_suffix(".npy")), "several"),
        (lambda p: tifffile.imwrite(p.with_suffix(".tif"), np.zeros((5, 20, 30), np.uint16)), "pages"),
        (lambda p: p.with_suffix(".txt").write_text("x"), "unknown format"),
    ],
)
def test_an_unusable_label_is_named(tmp_path, make, words):
    make(tmp_path / "a")
    (path,) = tmp_path.iterdir()
    with pytest.raises(LazyLabelsError, match=words) as caught:
        read_label_picture(path)
    assert str(path) in str(caught.value)
    if path.suffix == ".jpg":
        with pytest.raises(LazyLabelsError, match="JPEG"):
            read_label_picture(path, {RED: 1})


NAMES = {RED: "air bubble", BLUE: "ice crystal"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("legend.json", '{"#ff0000": "air bubble", "#0000FF": "ice crystal"}'),
        ("legend.json", '{"255,0,0": "air bubble", "0, 0, 255": "ice crystal"}'),
        ("legend.csv", "colour,name\n#ff0000,air bubble\n#0000ff,ice crystal\n"),
        ("legend.csv", "255,0,0,air bubble\n\n0,0,255,ice crystal"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nair bubble:255,0,0::\nice crystal:0,0,255::\n"),
    ],
)
def test_legends(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert read_legend(path) == NAMES
    assert list(read_legend(path)) == list(NAMES)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("legend.json", "{", "cannot be used"),
        ("legend.json", "[1]", "no JSON object"),
        ("legend.json", "{}", "no JSON object"),
        *(("legend.json", text, "no JSON object") for text in ("3", "true", "null", "1.5", '"red"', '[["#f00", "a"]]', "[{}]")),
        ("legend.json", '{"red": "air bubble"}', "'red' is no colour"),
        ("legend.json", '{"300,0,0": "air bubble"}', "no colour"),
        ("legend.json", '{"#ff0000": 1}', "no name"),
        ("legend.json", '{"#ff0000": "a", "#FF0000": "b"}', "twice"),
        ("legend.json", '{"#ff0000": "a", "#ff0000": "b"}', "twice"),
        ("legend.csv", "#ff0000", "no name"),
        ("legend.csv", "", "empty"),
        ("labelmap.txt", "air bubble", "red,green,blue"),
    ],
)
def test_an_unusable_legend_is_named(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(AnnotationError, match=words) as caught:
        read_legend(path)
    assert str(path) in str(caught.value)


def test_a_missing_legend_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"legend\.json"):
        read_legend(tmp_path / "legend.json")
