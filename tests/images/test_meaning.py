"""What a file's tags say is understood in one way, whichever library wrote the file and whichever reads it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImaged
from PIL import Image, ImageOps
from scipy import ndimage

from lazylabels_monai.images.files import ReadError, read_image, read_label
from lazylabels_monai.images.meaning import upright
from lazylabels_monai.images.readers import MicroscopyReader
from tests.images import matrix


def differs(found: np.ndarray, expected: np.ndarray) -> str:
    if found.shape != expected.shape:
        return f"{found.shape} for {expected.shape}"
    return "" if np.array_equal(found, expected) else f"{int((found != expected).sum())} pixels"


def test_every_tag_depth_and_colour_of_every_library(tmp_path, record_property):
    """One table: image, label, and both through MONAI's LoadImaged, against what was handed to the writers."""
    load = {
        label: LoadImaged("x", reader=MicroscopyReader(label=label), ensure_channel_first=True, image_only=True, dtype=None)
        for label in (False, True)
    }
    table, files = [], 0
    for case in matrix.cases():
        files += 1
        path = tmp_path / f"{files}{case.name[case.name.rindex('.') :]}"
        case.write(path)
        for label, expected in ((False, case.image), (True, case.label)):
            read = read_label if label else read_image
            try:
                found = read(path)
            except ReadError as error:
                if not (label and expected is None):
                    table.append((case.name, label, str(error)))
                continue
            if expected is None:
                table.append((case.name, label, "taken as a label"))
                continue
            wrong = differs(found, expected)
            loaded = np.asarray(load[label]({"x": str(path)})["x"])
            first = expected[None] if expected.ndim == 2 else np.moveaxis(expected, -1, 0)
            wrong = wrong or differs(loaded, first.swapaxes(1, 2))
            if wrong:
                table.append((case.name, label, wrong))
        path.unlink()
    record_property("files", files)
    print(f"{files} files, {len(table)} differences")
    assert table == []
    assert files > 900


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_exif(orientation):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(upright(array, orientation), np.asarray(ImageOps.exif_transpose(image)))


def test_what_is_no_orientation_turns_nothing():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for orientation in (0, 9, -1, 65535):
        np.testing.assert_array_equal(upright(array, orientation), array)


# ------------------------------------------------------------------------------------------------------ transparency


IDS = np.zeros((24, 30), np.uint8)
IDS[2:9, 3:12], IDS[12:20, 15:27] = 1, 7
DRAWN = IDS > 0
WILD = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)


def white_on_nothing():
    return np.dstack([np.full((*IDS.shape, 3), 255, np.uint8), DRAWN * np.uint8(255)])


def ids_on_nothing(alpha=255, below=WILD):
    colours = np.where(DRAWN[..., None], np.dstack([IDS] * 3), below)
    return np.dstack([colours, DRAWN * np.uint8(alpha)])


def brushed():
    """A soft brush: alpha rises over the edge; the colour is that of the brush wherever it touched."""
    soft = ndimage.gaussian_filter(DRAWN * 255.0, 1).round().astype(np.uint8)
    return np.dstack([np.full((*IDS.shape, 3), 7, np.uint8), soft]), (soft >= soft.max() / 2) * np.uint8(7)


def palette_png(path, index, table, **options):
    image = Image.fromarray(index)
    image.putpalette(np.asarray(table, np.uint8).tobytes())
    image.save(path, **options)


LABELS = {
    "white": (lambda p: Image.fromarray(white_on_nothing()).save(p), DRAWN * 255),
    "ids": (lambda p: Image.fromarray(ids_on_nothing()).save(p), IDS),
    "a faint layer": (lambda p: Image.fromarray(ids_on_nothing(alpha=90)).save(p), IDS),
    "gray and alpha": (lambda p: Image.fromarray(ids_on_nothing()[..., 2:]).save(p), IDS),
    "soft brush": (lambda p: Image.fromarray(brushed()[0]).save(p), brushed()[1]),
    "ids, all opaque": (lambda p: Image.fromarray(np.dstack([IDS] * 3 + [IDS * 0 + 255])).save(p), IDS),
    "transparent index": (
        lambda p: palette_png(p, np.where(DRAWN, IDS, 200).astype(np.uint8), WILD.reshape(-1, 3)[:256], transparency=200),
        IDS,
    ),
    "alpha of each index": (
        lambda p: palette_png(p, IDS, WILD.reshape(-1, 3)[:256], transparency=bytes([0] + [255] * 255)),
        IDS,
    ),
    "tiff": (lambda p: tifffile.imwrite(p, ids_on_nothing(), photometric="rgb", extrasamples=["unassalpha"]), IDS),
    "16-bit tiff": (
        lambda p: tifffile.imwrite(p, ids_on_nothing().astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]),
        IDS.astype(int) * 257,
    ),
    "an alpha that was never used": (lambda p: Image.fromarray(np.dstack([IDS * 0] * 4)).save(p), IDS * 0),
}


@pytest.mark.parametrize(("write", "expected"), LABELS.values(), ids=LABELS)
def test_what_is_transparent_is_no_object(tmp_path, write, expected):
    path = tmp_path / "a.png"  # a TIFF is one under any name
    write(path)
    np.testing.assert_array_equal(read_label(path), expected)
    np.testing.assert_array_equal(read_label(path, ignore=255), expected)


def test_where_0_was_drawn_transparent_is_not_labelled(tmp_path):
    """A turned label with a border: inside, 0 is background; what the border is, nobody said."""
    alpha = np.zeros(IDS.shape, np.uint8)
    alpha[1:-1, 1:-1] = 255
    Image.fromarray(np.dstack([IDS] * 3 + [alpha])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label(tmp_path / "a.png"), IDS)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", ignore=255), np.where(alpha > 0, IDS, 255))
    Image.fromarray(np.dstack([IDS * 0] * 3 + [alpha])).save(tmp_path / "empty.png")
    assert not read_label(tmp_path / "empty.png").any()


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda p: Image.fromarray(np.dstack([IDS * 0] * 3 + [DRAWN * np.uint8(255)])).save(p), "drawn with the value 0"),
        (lambda p: Image.fromarray(np.dstack([IDS] * 3 + [IDS * 0])).save(p), "is transparent everywhere"),
        (
            lambda p: palette_png(p, np.where(DRAWN, 0, 1).astype(np.uint8), [[255, 0, 0]] + [[0, 0, 0]] * 255, transparency=1),
            "drawn with the value 0",
        ),
        (lambda p: Image.fromarray(np.dstack([WILD, DRAWN * np.uint8(255)])).save(p), "is a colour picture"),
    ],
    ids=["black", "nothing", "first colour of a palette", "colours"],
)
def test_what_transparency_leaves_open_is_refused(tmp_path, write, words):
    write(tmp_path / "a.png")
    with pytest.raises(ReadError, match=rf"label '.*a\.png' {words}|label '.*a\.png' is {words}"):
        read_label(tmp_path / "a.png")


def test_an_image_with_a_transparent_border_keeps_its_contrast(tmp_path):
    """A picture turned in another program: normalised, it is the picture without the border."""
    gray = np.random.default_rng(0).normal(120, 20, (60, 80)).clip(0, 255).astype(np.uint8)
    alpha = np.zeros((90, 120), np.uint8)
    alpha[15:75, 20:100] = 255
    for border in (0, 255):
        colours = np.full((90, 120, 3), border, np.uint8)
        colours[15:75, 20:100] = gray[..., None]
        Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "a.png")
        found = read_image(tmp_path / "a.png")
        np.testing.assert_array_equal(found[15:75, 20:100], np.dstack([gray] * 3))
        assert (found[alpha == 0] == np.median(gray)).all()


def test_palettes_of_an_image_by_the_colours_it_uses(tmp_path):
    index = np.random.default_rng(0).integers(0, 200, (20, 30), dtype=np.uint8)
    table = np.repeat(np.arange(256)[:, None], 3, axis=1)
    table[250] = 255, 0, 0  # the red of a microscope's annotations, which this picture does not have
    palette_png(tmp_path / "a.png", index, table)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), index)
    index[0, 0] = 250
    palette_png(tmp_path / "a.png", index, table)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), table[index])
