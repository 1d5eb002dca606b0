"""Regions of pictures are what the whole picture holds there, however its file is laid out."""

from __future__ import annotations

import errno
import json
import shutil
import weakref
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.images.files import ReadError, is_zarr, read_image, read_label
from lazylabels_monai.images.pixel_size import PixelSizeError, read_pixel_size
from lazylabels_monai.images.regions import Regions, open_regions
from tests.images import matrix

PLACES = [(slice(0, 70), slice(0, 90)), (slice(13, 50), slice(30, 31)), (slice(60, 999), slice(-5, 999))]
LAYOUTS = {
    "tiled": {"tile": (32, 16)},
    "tiled BigTIFF, packed": {"tile": (16, 48), "compression": "zlib", "bigtiff": True, "predictor": True},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "plain": {},
    "big endian": {"byteorder": ">"},
}


def picture(dtype, channels, seed=0):
    shape = (70, 90, channels) if channels else (70, 90)
    values = np.random.default_rng(seed).uniform(0, 250, shape)
    return values.astype(dtype)


def same(path, **options):
    whole, regions = read_image(path), open_regions(path, **options)
    assert regions.shape == whole.shape[:2]
    for place in PLACES:
        np.testing.assert_array_equal(regions[place], whole[place])
        assert regions[place].dtype == whole.dtype == regions.dtype
    np.testing.assert_array_equal(regions.every(9), whole[::9, ::9])
    regions.close()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 0), (np.uint16, 0), (np.float32, 0), (np.uint8, 3)])
def test_tiff_of_every_layout(tmp_path, layout, dtype, channels):
    options = {"photometric": "rgb"} if channels else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", picture(dtype, channels), **LAYOUTS[layout], **options)
    same(tmp_path / "a.tif")


def test_planes_of_colours(tmp_path):
    planes = np.moveaxis(picture(np.uint8, 3), -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, planarconfig="separate", photometric="rgb", tile=(32, 32))
    same(tmp_path / "a.tif")


@pytest.mark.parametrize("marked", [True, False])
def test_the_finest_level_of_a_pyramid(tmp_path, marked):
    values = picture(np.uint8, 0)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif" if marked else tmp_path / "a.tif", ome=marked) as tif:
        tif.write(values, tile=(32, 32), subifds=1 if marked else None, metadata={"axes": "YX"} if marked else None)
        tif.write(values[::2, ::2], tile=(32, 32), subfiletype=1 if marked else 0, metadata=None)
    regions = open_regions(next(tmp_path.iterdir()))
    np.testing.assert_array_equal(regions[0:70, 0:90], values)
    regions.close()


def test_what_is_unpacked_whole(tmp_path):
    Image.fromarray(picture(np.uint8, 3)).save(tmp_path / "a.png")
    same(tmp_path / "a.png")
    assert open_regions(tmp_path / "a.png").whole


def test_a_label_keeps_its_numbers(tmp_path):
    ids = picture(np.uint32, 0)
    tifffile.imwrite(tmp_path / "a.tif", ids, tile=(16, 16), compression="zlib")
    np.testing.assert_array_equal(open_regions(tmp_path / "a.tif", label=True)[5:60, 3:80], ids[5:60, 3:80])


def _or_refusal(read):
    try:
        return read()
    except ReadError as error:
        return str(error)


def test_a_label_means_the_same_in_parts_as_whole(tmp_path):
    """Of every tag, depth, colour and compression: the same values in the same type, or the same refusal."""

    def in_parts():
        regions = open_regions(path, label=True)
        try:
            assert regions.channels == 0
            return [regions[place] for place in PLACES] + [regions[0 : regions.shape[0], 0 : regions.shape[1]]]
        finally:
            regions.close()

    wrong, kinds = [], set()
    for number, case in enumerate(matrix.cases()):
        path = tmp_path / f"{number} {case.name}"
        case.write(path)
        whole, parts = _or_refusal(lambda: read_label(path)), _or_refusal(in_parts)  # noqa: B023
        path.unlink()
        kinds.add(type(whole))
        if isinstance(whole, str):
            same = parts == whole
        else:
            same = not isinstance(parts, str) and all(
                part.dtype == whole.dtype and np.array_equal(part, whole[place])
                for part, place in zip(parts, (*PLACES, (slice(None), slice(None))), strict=True)
            )
        wrong += [] if same else [case.name]
    assert kinds == {str, np.ndarray}
    assert not wrong, f"{len(wrong)} of {number + 1}: {wrong[:20]}"


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_values_that_are_no_label_are_refused_where_they_lie(tmp_path, tile):
    values = np.zeros((70, 90), np.float32)
    values[60, 80] = 1.5
    tifffile.imwrite(tmp_path / "a.tif", values, tile=tile)
    regions = open_regions(tmp_path / "a.tif", label=True)
    assert regions[0:50, 0:90].dtype == np.int64
    with pytest.raises(ReadError, match="fractional values"):
        regions[50:70, 0:90]
    regions.close()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((70, 90), dtype), tile=(16, 16))
    for label in (True, False):
        with pytest.raises(ReadError, match="complex"):
            open_regions(tmp_path / "a.tif", label=label)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extratags": [(274, 3, 1, 6, True)]}, "orientation"),
        ({"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, "palette"),
    ],
)
def test_what_means_nothing_in_parts_is_refused(tmp_path, options, words):
    tifffile.imwrite(tmp_path / "a.tif", picture(np.uint8, 0), tile=(16, 16), **options)
    with pytest.raises(ReadError, match=words):
        open_regions(tmp_path / "a.tif")


def test_transparent_pixels_are_refused(tmp_path):
    values = picture(np.uint8, 4)
    values[..., 3] = 255
    values[40, 40, 3] = 0
    tifffile.imwrite(tmp_path / "a.tif", values, tile=(16, 16), photometric="rgb", extrasamples=["unassalpha"])
    regions = open_regions(tmp_path / "a.tif")
    np.testing.assert_array_equal(regions[0:10, 0:10], values[:10, :10, :3])
    with pytest.raises(ReadError, match="transparent"):
        regions[30:50, 30:50]


def test_several_pictures_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(picture(np.uint8, 0))
        tif.write(picture(np.uint8, 0, seed=1))
    with pytest.raises(ReadError, match="2 pages"):
        open_regions(tmp_path / "a.tif")


def test_a_damaged_tile_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", picture(np.uint8, 0), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        at = tif.pages[0].dataoffsets[-1]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[at : at + 8] = b"\xff" * 8
    (tmp_path / "a.tif").write_bytes(content)
    regions = open_regions(tmp_path / "a.tif")
    assert regions[0:10, 0:10].shape == (10, 10)
    with pytest.raises(ReadError, match="rows 65 to 70"):
        regions[65:70, 70:90]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "cyx", "tczyx"])
def test_ome_zarr(tmp_path, version, axes):
    zarr = pytest.importorskip("zarr")
    values = picture(np.uint16, 3 if "c" in axes else 0)
    stored = np.moveaxis(values, -1, 0) if "c" in axes else values
    stored = stored.reshape([1] * (len(axes) - stored.ndim) + list(stored.shape)) if axes != "tczyx" else stored[None, :, None]
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", shape=stored.shape, dtype=stored.dtype, chunks=(1,) * (stored.ndim - 2) + (32, 32))[...] = stored
    scale = [1.0] * (len(axes) - 2) + [0.25, 0.25]
    named = [{"name": a, "type": "space", "unit": "micrometer"} if a in "yx" else {"name": a} for a in axes]
    levels = [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    content = {"multiscales": [{"version": version, "axes": named, "datasets": levels}]}
    group.attrs.update(content if version == "0.4" else {"ome": content})
    assert is_zarr(tmp_path / "a.zarr")
    regions = open_regions(tmp_path / "a.zarr")
    for place in PLACES:
        np.testing.assert_array_equal(regions[place], values[place])
    assert read_pixel_size(tmp_path / "a.zarr") == 0.25


def scaled(*scales):
    return [{"type": "scale", "scale": list(scale)} for scale in scales]


MOVED = {"type": "translation", "translation": [3.0, 4.0]}
TRANSFORMED = {
    "of the level": (scaled((0.25, 0.25)), None, "micrometer", 0.25),
    "of both": (scaled((1, 1)), scaled((0.25, 0.25)), "micrometer", 0.25),
    "of both, no 1": (scaled((4, 2)), scaled((0.25, 0.5)), "micrometer", 1.0),
    "of the whole alone": ([], scaled((0.25, 0.25)), "micrometer", 0.25),
    "and moved": ([*scaled((2, 2)), MOVED], [MOVED, *scaled((0.5, 0.5))], "micrometer", 1.0),
    "in a file of its own": (scaled((1, 1)), [{"type": "scale", "path": "scale"}], "micrometer", None),
    "nowhere": ([], None, "micrometer", None),
    "nanometers": (scaled((3, 3)), scaled((2, 2)), "nanometer", 0.006),
    "centimeters": (scaled((0.001, 0.001)), None, "centimeter", 10.0),
    "inches": (scaled((0.001, 0.001)), None, "inch", 25.4),
    "seconds": (scaled((1, 1)), None, "second", None),
}


@pytest.mark.parametrize(("level", "whole", "unit", "size"), TRANSFORMED.values(), ids=TRANSFORMED)
def test_the_scales_of_ome_zarr_are_multiplied(tmp_path, level, whole, unit, size):
    scale = {"axes": [{"name": a, "type": "space", "unit": unit} for a in "yx"], "datasets": [{"path": "0"}]}
    scale["datasets"][0]["coordinateTransformations"] = level
    if whole is not None:
        scale["coordinateTransformations"] = whole
    (tmp_path / ".zattrs").write_text(json.dumps({"multiscales": [scale]}))
    assert read_pixel_size(tmp_path) == (None if size is None else pytest.approx(size, rel=1e-12))
    (tmp_path / ".zattrs").unlink()
    (tmp_path / "zarr.json").write_text(json.dumps({"attributes": {"ome": {"multiscales": [scale]}}}))
    assert read_pixel_size(tmp_path) == (None if size is None else pytest.approx(size, rel=1e-12))


def test_pixels_of_ome_zarr_that_are_not_square_are_refused_as_those_of_tiff(tmp_path):
    scale = {"axes": [{"name": name, "unit": "micrometer"} for name in "yx"], "datasets": [{"path": "0"}]}
    scale["coordinateTransformations"] = scaled((0.25, 0.5))
    (tmp_path / ".zattrs").write_text(json.dumps({"multiscales": [scale]}))
    with pytest.raises(PixelSizeError, match=r"pixels of 0.5 x 0.25 um \(width x height\)"):
        read_pixel_size(tmp_path)


def test_zarr_of_several_planes_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=(3, 20, 20), dtype=np.uint8)
    group.attrs["multiscales"] = [{"axes": [{"name": a} for a in "zyx"], "datasets": [{"path": "0"}]}]
    with pytest.raises(ReadError, match="3 planes along its axis z"):
        open_regions(tmp_path / "a.zarr")


def _other(value: object, random: np.random.Generator) -> object:
    """A JSON value with one thing in it that is of another kind, or gone."""
    odd = [None, [], {}, "x", -1, 1e300, True, "../../elsewhere"]
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = list(value)[random.integers(len(value))]
        if random.random() < 0.2:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: _other(value[name], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.integers(len(value))
        return [*value[:place], _other(value[place], random), *value[place + 1 :]]
    return odd[random.integers(len(odd))]


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_zarr_is_a_picture_or_a_sentence_that_names_it(tmp_path, version):
    """Its metadata with a value of another kind, cut short, or its chunks with other bytes."""
    zarr = pytest.importorskip("zarr")
    whole = tmp_path / "whole.zarr"
    group = zarr.open_group(str(whole), mode="w", zarr_format=version)
    array = group.create_array("0", shape=(40, 50), chunks=(16, 16), dtype="uint8")
    array[:] = np.random.default_rng(0).integers(0, 255, (40, 50))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    made = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.25, 0.25]}]}
    scales = {"multiscales": [{"axes": axes, "datasets": [made], "version": "0.4"}]}
    group.attrs.update(scales if version == 2 else {"ome": scales})
    random, said = np.random.default_rng(version), []
    for turn in range(150):
        folder = tmp_path / f"{turn}.zarr"
        shutil.copytree(whole, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        texts = [path for path in files if path.name in ("zarr.json", ".zattrs", ".zarray", ".zgroup")]
        kind = random.integers(4)
        file = (texts if kind < 3 else [path for path in files if path not in texts])[0 if kind == 3 else turn % len(texts)]
        content = file.read_bytes()
        if kind < 2:
            file.write_text(json.dumps(_other(json.loads(content), random)))
        elif kind == 2:
            file.write_bytes(content[: random.integers(len(content))])
        else:
            file.write_bytes(random.bytes(len(content)))
        try:
            regions = open_regions(folder)
            regions[slice(0, 16), slice(0, 16)]
        except ReadError as error:
            said.append((str(folder), str(error)))
        with suppress(PixelSizeError):
            read_pixel_size(folder)
    assert len(said) > 40
    assert [sentence for name, sentence in said if name not in sentence] == []


def test_every_pixel_of_a_band_but_the_wanted_ones_is_let_go():
    """Of a picture that does not fit into memory two bands never lie there at once."""
    alive: list[weakref.ref] = []

    def read(rows, columns):
        assert not [band for band in alive if band() is not None]
        band = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        alive.append(weakref.ref(band))
        return band

    assert Regions("", (5000, 40), 0, np.uint8, read).every(8).shape == (625, 5)
    assert len(alive) == 5


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("bad data"), OSError("truncated")])
def test_what_the_disk_does_not_give_need_not_be_exported_again(error):
    def read(rows, columns):
        raise error

    regions = Regions("a.tif", (70, 90), 0, np.uint8, read)
    torn = isinstance(error, OSError) and error.errno
    remedy = "see that its disk is connected, and give the same command again" if torn else "export it again"
    with pytest.raises(ReadError, match=f"'a.tif' cannot be read in rows 3 to 9 .*{remedy}"):
        regions[3:9, 0:5]


def test_a_zarr_folder_that_is_gone_is_not_read_as_black(tmp_path):
    """Zarr takes a chunk that is not there for one of zeros."""
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(store=str(tmp_path / "a.zarr"), shape=(70, 90), chunks=(32, 32), dtype=np.uint8, zarr_format=2)
    array[...] = 7
    regions = open_regions(tmp_path / "a.zarr")
    assert regions[0:9, 0:9].all()
    (tmp_path / "a.zarr").rename(tmp_path / "elsewhere")
    with pytest.raises(ReadError, match=r"cannot be read .*see that its disk is connected, and give the same command again"):
        regions[0:9, 0:9]
