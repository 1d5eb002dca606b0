"""Pictures without their data bars, compared with the rows of the file as other programs read it."""

from __future__ import annotations

import json
import os
import unicodedata

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from lazylabels_monai.data.cropping import BLENDED, CropError, crop_pictures, format_crop
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.images.pixel_size import read_pixel_size

HEIGHT, WIDTH, BAR = 240, 320, 32
OFF = BAR + BLENDED


def picture(dtype: type = np.uint8, channels: int = 1, bar: str | None = "lower", rows: int = BAR) -> np.ndarray:
    """Noise, and below or above it a black strip with letters."""
    image = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH)).astype(np.uint8)
    if bar is not None:
        strip = Image.new("L", (WIDTH, rows))
        ImageDraw.Draw(strip).text((6, rows // 4), "HV 10.0 kV   mag 5000x   WD 4.1 mm   det ETD", fill=255)
        edge = slice(0, rows) if bar == "upper" else slice(HEIGHT - rows, HEIGHT)
        image[edge] = np.asarray(strip)
    image = image.astype(dtype) * (201 if dtype == np.uint16 else 1)
    return np.stack([image] * channels, -1) if channels > 1 else image


def as_read(path: os.PathLike) -> np.ndarray:
    """By the program of the format, not by this package."""
    return tifffile.imread(path) if str(path).endswith((".tif", ".tiff")) else np.asarray(Image.open(path))


def left_of(image: np.ndarray, edge: str) -> np.ndarray:
    return image[OFF:] if edge == "upper" else image[:-OFF]


@pytest.mark.parametrize("edge", ["lower", "upper"])
@pytest.mark.parametrize(
    ("name", "dtype", "channels", "now"),
    [
        ("a.png", np.uint8, 1, "a.png"),
        ("a.png", np.uint8, 3, "a.png"),
        ("a.png", np.uint16, 1, "a.png"),
        ("a.bmp", np.uint8, 3, "a.bmp"),
        ("a.bmp", np.uint8, 1, "a.bmp"),
        ("a.tif", np.uint8, 1, "a.tif"),
        ("a.tif", np.uint8, 3, "a.tif"),
        ("a.tiff", np.uint16, 1, "a.tiff"),
        ("a.tif", np.uint16, 3, "a.tif"),
        ("a.tif", np.uint8, 2, "a.tif"),
        ("a.tif", np.uint8, 4, "a.tif"),
        ("a.ome.tif", np.uint16, 5, "a.ome.tif"),
        ("a.TIF", np.float32, 1, "a.TIF"),
        ("a.jpg", np.uint8, 1, "a.png"),
        ("a.JPEG", np.uint8, 3, "a.png"),
    ],
)
def test_what_is_left_has_its_values(tmp_path, edge, name, dtype, channels, now):
    image, source = picture(dtype, channels, edge), tmp_path / "im" / name
    source.parent.mkdir()
    if name.lower().endswith((".tif", ".tiff")):
        planes = {"planarconfig": "contig"} if channels > 1 else {}
        tifffile.imwrite(source, image, photometric="rgb" if channels == 3 else "minisblack", **planes)
    else:
        Image.fromarray(image).save(source, **({"quality": 100} if name.lower().startswith("a.j") else {}))
    before, stored = source.read_bytes(), np.asarray(Image.open(source)) if name.startswith("a.j") else image
    (made,) = crop_pictures(source, tmp_path / "out")
    assert made.name == now
    assert (made.upper, made.lower) == ((OFF, 0) if edge == "upper" else (0, OFF))
    found = as_read(tmp_path / "out" / now)
    assert found.dtype == dtype
    if name == "a.JPEG":
        stored = np.asarray(Image.open(source))
    np.testing.assert_array_equal(found, left_of(stored, edge))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / now), left_of(read_image(source), edge))
    assert source.read_bytes() == before, "yours stays as it is"


def test_pictures_without_a_bar_are_copied_and_named(tmp_path):
    (tmp_path / "im").mkdir()
    for name, bar in (("a.png", "lower"), ("b.png", None), ("c.png", "lower")):
        Image.fromarray(picture(bar=bar)).save(tmp_path / "im" / name)
    cropped = crop_pictures(tmp_path / "im", tmp_path / "out")
    assert (tmp_path / "out" / "b.png").read_bytes() == (tmp_path / "im" / "b.png").read_bytes()
    assert format_crop(cropped, tmp_path / "out").splitlines() == [
        f"a.png: {OFF} rows along its lower edge cut off",
        "b.png: nothing to cut off",
        f"c.png: {OFF} rows along its lower edge cut off",
        f"note: look at 'b.png', in which no bar was found; --lower {OFF} cuts as many rows off every picture.",
        f"written: {tmp_path / 'out'} (2 of 3 pictures cut)",
    ]
    Image.fromarray(picture(rows=40)).save(tmp_path / "im" / "c.png")
    text = format_crop(crop_pictures(tmp_path / "im", tmp_path / "dry", dry_run=True), None)
    assert "--lower ROWS cuts rows off by hand" in text
    assert text.endswith("nothing was written (2 of 3 pictures cut)")
    assert not (tmp_path / "dry").exists()


def test_rows_that_are_named_are_cut_off_every_picture(tmp_path):
    (tmp_path / "im").mkdir()
    for name in "ab":
        Image.fromarray(picture(bar=None)).save(tmp_path / "im" / f"{name}.png")
    for made in crop_pictures(tmp_path / "im", tmp_path / "out", upper=3, lower=20):
        np.testing.assert_array_equal(as_read(tmp_path / "out" / made.name), picture(bar=None)[3:-20])
    assert [m.lower for m in crop_pictures(tmp_path / "im", tmp_path / "none", lower=0)] == [0, 0], "none is looked for"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, f"a.{end}")
        for kind in ("palette", "bits", "alpha")
        for end in ("png", "bmp", "tif")
        if (kind, end) != ("alpha", "bmp")
    ],
)
def test_labels_that_are_cut_like_their_images_mean_the_same(tmp_path, name, kind):
    values = (np.arange(HEIGHT)[:, None] // 90 * np.ones((1, WIDTH), int)).astype(np.uint8)
    shown = {"palette": Image.fromarray(values), "bits": Image.fromarray(values > 0)}.get(kind)
    if kind == "palette":
        shown.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [9, 9, 9] * 253)
    if kind == "alpha":
        drawn = np.where(np.arange(WIDTH) < 40, 0, 255).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
        shown = Image.fromarray(np.dstack([values, drawn]))
    shown.save(tmp_path / name)
    label = read_label(tmp_path / name, ignore=255)
    crop_pictures(tmp_path / name, tmp_path / "out", upper=5, lower=20)
    np.testing.assert_array_equal(read_label(tmp_path / "out" / name, ignore=255), label[5:-20])
    np.testing.assert_array_equal(read_image(tmp_path / "out" / name)[:, 40:], read_image(tmp_path / name)[5:-20, 40:])


@pytest.mark.parametrize("size", [1e-6, 0.02, 30.0, 254.0])
@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.tiff"])
def test_the_pixel_size_of_an_ome_tiff_stays(tmp_path, name, size):
    axes = {f"PhysicalSize{axis}{end}": value for axis in "XY" for end, value in (("", size * 1000), ("Unit", "nm"))}
    tifffile.imwrite(tmp_path / name, picture(), metadata={"axes": "YX", **axes})
    assert read_pixel_size(tmp_path / name) == pytest.approx(size)
    crop_pictures(tmp_path / name, tmp_path / "out")
    assert read_pixel_size(tmp_path / "out" / name) == pytest.approx(size)


@pytest.mark.parametrize("stated", [{"resolution": (20000.0, 20000.0), "resolutionunit": "CENTIMETER"}, "imagej", {}])
def test_the_pixel_size_stays(tmp_path, stated):
    source = tmp_path / "a.tif"
    if stated == "imagej":
        tifffile.imwrite(source, picture(), imagej=True, resolution=(1 / 0.013,) * 2, metadata={"unit": "um"})
    else:
        tifffile.imwrite(source, picture(), **stated)
    expected = {"imagej": 0.013}.get(stated) if isinstance(stated, str) else (0.5 if stated else None)
    assert read_pixel_size(source) == (None if expected is None else pytest.approx(expected))
    crop_pictures(source, tmp_path / "out")
    assert read_pixel_size(tmp_path / "out" / "a.tif") == (None if expected is None else pytest.approx(expected))


def test_what_cannot_be_cropped_is_a_sentence_and_writes_nothing(tmp_path):
    (tmp_path / "im").mkdir()
    Image.fromarray(picture()).save(tmp_path / "im" / "a.png")
    out = tmp_path / "out"
    with pytest.raises(CropError, match=r"'.*a\.png' has 240 rows, of which 300 cannot be cut off: give fewer"):
        crop_pictures(tmp_path / "im", out, lower=300)
    with pytest.raises(CropError, match=r"--upper -1 must be a number of rows from 0 up"):
        crop_pictures(tmp_path / "im", out, upper=-1)
    Image.fromarray(picture()).save(tmp_path / "im" / "a.jpg")
    with pytest.raises(CropError, match=r"a\.jpg' and '.*a\.png' would both be 'a\.png': crop them into two folders"):
        crop_pictures(tmp_path / "im", out)
    with pytest.raises(CropError, match="would both be"):
        crop_pictures(tmp_path / "im", out, dry_run=True)
    for form in ("NFC", "NFD"):  # which a Mac's disk takes for one name
        (tmp_path / form).mkdir()
        for ending in ("jpg", "png"):
            name = unicodedata.normalize(
                form if ending == "jpg" else "NFC", f"\N{LATIN SMALL LETTER A WITH DIAERESIS}.{ending}"
            )
            Image.fromarray(picture()).save(tmp_path / form / name)
        with pytest.raises(CropError, match="would both be"):
            crop_pictures(tmp_path / form, out)
    (tmp_path / "im" / "v.nii.gz").write_bytes(b"")
    with pytest.raises(CropError, match=r"v\.nii\.gz' is a volume"):
        crop_pictures(tmp_path / "im", out)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    with pytest.raises(CropError, match=r"out is there already: name another folder, or remove it\.$"):
        crop_pictures(tmp_path / "im" / "a.png", out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CropError, match="link is there already"):
        crop_pictures(tmp_path / "im" / "a.png", tmp_path / "link")


@pytest.mark.real_data
def test_a_microscopes_bars(data_root, tmp_path):
    """Nothing of the particles goes: no object of the exact masks lies in what is cut off, but for a few pixels of its edge."""
    lost = {}
    for image in sorted((data_root / "emps" / "train" / "images").iterdir())[::4]:
        (made,) = crop_pictures(image, tmp_path / image.stem, dry_run=True)
        ids = as_read(data_root / "emps" / "train" / "masks" / f"{image.stem}.png")
        off = np.concatenate([ids[: made.upper], ids[len(ids) - made.lower :]]) if made.lower else ids[: made.upper]
        if off.size:
            lost[image.stem] = float((off > 0).mean())
    assert lost, json.dumps(lost)
    assert max(lost.values()) < 0.05, json.dumps(lost)
