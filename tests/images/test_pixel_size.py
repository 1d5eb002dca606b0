"""Pixel sizes, as they are typed and as files state them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.measure import (
    agreed_pixel_size,
    parse_pixel_size,
    read_pixel_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.5um", 0.5),
        ("120 nm", 0.12),
        ("0.5", 0.5),
        (0.25, 0.25),
        ("1e-3 mm", 1.0),
        ("0.5 µm", 0.5),
        ("2 \N{GREEK SMALL LETTER MU}m", 2.0),
        ("5 Å", 5e-4),
        (".5 micron", 0.5),
    ],
)
def test_parse_pixel_size(text, size):
    assert parse_pixel_size(text) == pytest.approx(size, rel=1e-12)


@pytest.mark.parametrize("text", ["", "um", "0", "-1um", "1 px", "1,5um", "1 um2", "nan", "1.2.3um", None, True, [1]])
def test_no_pixel_size(text):
    with pytest.raises(LazyLabelsError, match="pixel size"):
        parse_pixel_size(text)


def tiff(path, **options):
    tifffile.imwrite(path, np.zeros((8, 9), np.uint16), **options)
    return path


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5}}, 0.5),
        ({"ome": True, "metadata": {"PhysicalSizeX": 120, "PhysicalSizeXUnit": "nm"}}, 0.12),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, None),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}, 0.25),
        ({"imagej": True, "resolution": (0.05, 0.05), "metadata": {"unit": "nm"}}, 0.02),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "pixel"}}, None),
        ({"imagej": True, "resolution": (72, 72), "metadata": {"unit": "inch"}}, None),
        ({"imagej": True, "resolution": (300, 300), "metadata": {"unit": "inches"}}, None),
        ({"imagej": True, "resolution": (28.35, 28.35), "metadata": {"unit": "cm"}}, None),
        ({"imagej": True, "resolution": (50800, 50800), "metadata": {"unit": "inch"}}, 0.5),
        ({"imagej": True, "resolution": (20000, 20000), "metadata": {"unit": "cm"}}, 0.5),
        ({"imagej": True, "resolution": (72 / 25400, 72 / 25400), "metadata": {"unit": "um"}}, None),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "micrometers"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "Micrometres"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "microns"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "\\u00b5m"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "\\u03BCm"}}, 0.5),
        ({"imagej": True, "resolution": (2000, 2), "metadata": {"unit": "mm", "yunit": "um"}}, 0.5),
        ({"imagej": True, "resolution": (2000, 2000), "metadata": {"unit": "millimeters"}}, 0.5),
        ({"imagej": True, "resolution": (0.002, 0.002), "metadata": {"unit": "nanometers"}}, 0.5),
        ({"imagej": True, "resolution": (1, 1), "metadata": {"unit": "mpixels"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 25400 / 72, "PhysicalSizeY": 25400 / 72}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1 / 300, "PhysicalSizeXUnit": "in"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 84.0, "PhysicalSizeY": 84.0}}, 84.0),
        ({"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}, 0.5),
        ({"resolution": (50800, 50800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (96, 96), "resolutionunit": "INCH"}, None),
        ({"resolution": (28.35, 28.35), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (1200, 1200), "resolutionunit": "INCH"}, None),
        ({"resolution": (5000, 5000), "resolutionunit": "NONE"}, None),
        ({}, None),
        ({"extratags": [(34682, 2, 0, "[Scan]\r\nPixelWidth=2.5e-009\r\nPixelHeight=2.5e-009\r\n", True)]}, 0.0025),
    ],
)
def test_pixel_size_of_a_tiff(tmp_path, options, size):
    name = "a.ome.tif" if options.get("ome") else "a.tif"
    assert read_pixel_size(tiff(tmp_path / name, **options)) == (None if size is None else pytest.approx(size, rel=1e-4))


def test_the_size_is_that_of_the_picture_and_not_of_its_thumbnail(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        options = {"resolutionunit": "CENTIMETER", "metadata": None}
        writer.write(np.zeros((8, 9), np.uint8), resolution=(5000, 5000), subfiletype=1, **options)
        writer.write(np.zeros((32, 36), np.uint16), resolution=(20000, 20000), **options)
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx(0.5)


OVERVIEW = ((8, 9), 4.0)
PICTURE = ((32, 36), 1.0)
PLATES = {
    "overview first": ([OVERVIEW, PICTURE], 1.0),
    "overview last": ([PICTURE, OVERVIEW], 1.0),
    "two overviews": ([OVERVIEW, PICTURE, ((16, 18), 2.0)], 1.0),
    "the picture states none": ([OVERVIEW, ((32, 36), None)], None),
    "the overview states none": ([((8, 9), None), PICTURE], 1.0),
}


@pytest.mark.parametrize(("pages", "size"), PLATES.values(), ids=PLATES)
def test_the_size_is_that_of_the_picture_among_several_of_an_ome_tiff(tmp_path, pages, size):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for (rows, columns), um in pages:
            stated = {} if um is None else {"PhysicalSizeX": um, "PhysicalSizeY": um}
            values = np.kron(np.arange(72, dtype=np.uint8).reshape(8, 9), np.ones((rows // 8, columns // 9), np.uint8))
            writer.write(values, metadata={"axes": "YX", **stated})
    assert read_image(path).shape == (32, 36)
    assert read_pixel_size(path) == size


@pytest.mark.parametrize("first", ["a.ome.tif", "b.ome.tif"])
def test_the_size_is_that_of_this_file_among_several(tmp_path, first):
    """Each file of a set has the XML of all of them."""
    names, sizes = (first, "b.ome.tif" if first == "a.ome.tif" else "a.ome.tif"), {"a.ome.tif": 0.5, "b.ome.tif": 2.0}
    images = "".join(
        f'<Image ID="Image:{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYCZT" Type="uint8" SizeX="9" SizeY="8" SizeC="1" '
        f'SizeZ="1" SizeT="1" PhysicalSizeX="{sizes[name]}" PhysicalSizeY="{sizes[name]}"><TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{k}</UUID></TiffData></Pixels></Image>'
        for k, name in enumerate(names)
    )
    xml = f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{images}</OME>'
    for name in names:
        tifffile.imwrite(tmp_path / name, np.zeros((8, 9), np.uint8), description=xml, metadata=None)
        assert read_pixel_size(tmp_path / name) == sizes[name]


def test_pixels_that_are_not_square(tmp_path):
    path = tiff(tmp_path / "a.ome.tif", ome=True, metadata={"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.6})
    with pytest.raises(LazyLabelsError, match=r"a\.ome\.tif.*not square"):
        read_pixel_size(path)


def test_other_files_state_no_pixel_size(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png", dpi=(50800, 50800))
    (tmp_path / "b.tif").write_bytes(b"II*\0 broken")
    assert read_pixel_size(tmp_path / "a.png") is None
    assert read_pixel_size(tmp_path / "b.tif") is None


def test_sizes_that_disagree():
    assert agreed_pixel_size({"x": None, "y": 0.5, "z": 0.5001}) == 0.5
    assert agreed_pixel_size({"x": None}) is None
    with pytest.raises(LazyLabelsError, match=r"image 'i'.*0\.5 um by y but of 0\.6 um by z.*--pixel-size"):
        agreed_pixel_size({"y": 0.5, "z": 0.6}, "i")
