"""Data sets: ids that training images lack, and strokes that are no masks."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw
from scipy import ndimage

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting import export_objects
from lazylabels_monai.measure.exactness import are_strokes
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Record, Records, Stamp, locked

#: Six pairs of squares that touch.
IDS = np.kron(np.arange(1, 13).reshape(3, 4), np.ones((12, 10), int))
IDS = np.pad(np.insert(np.insert(IDS, [12, 24], 0, axis=0), [20] * 6, 0, axis=1), 5).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "my" / name).mkdir(parents=True)
    for k in range(4):
        image = np.clip((IDS > 0) * 90 + 60 + rng.normal(0, 8, IDS.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "my" / "images" / f"s{k}.png")
        Image.fromarray(IDS).save(tmp_path / "my" / "masks" / f"s{k}.png")
    return tmp_path / "my"


def objects(result):
    return [entry["objects"] for entry in result["classes"].values()]


def test_pieces_are_not_counted_beside_ids_without_a_word(folder, tmp_path):
    data, said = tmp_path / "d", []
    content = build_datalist(folder, data, BuildOptions(classes=["grain"], validation=1)).datalist
    training = sorted(item["image"].split("/")[-1][:2] for item in content["training"])
    assert objects(measure_folder(data, tmp_path / "o", resamples=100, warn=said.append)) == [3 * 6 + 12]
    (sentence,) = said
    assert f"'{data}' holds no ids of 3 of 4 images ({', '.join(training)})" in sentence
    assert sentence.endswith(f"name the folder that it was made of, '{folder}', instead.")
    assert objects(measure_folder(folder, tmp_path / "o2", resamples=100, warn=said.append)) == [48]
    said.clear()
    assert measure_folder(folder, tmp_path / "o3", truth=data, resamples=100, warn=said.append)["truth_images"] == 1
    assert any(f"of 1 of 4 images, not of {', '.join(training)}, " in s and f"; of 3 '{data}' holds no ids;" in s for s in said)
    exact = measure_folder(folder, tmp_path / "o5", truth=folder, resamples=100)
    assert exact["error"]["class 1"]["mean_diameter_px"]["error"] == 0
    said.clear()
    export_objects(data, "coco", tmp_path / "c", warn=said.append)
    assert any("holds no ids of 3 of 4 images" in sentence for sentence in said)
    for name in training:
        (folder / "masks" / f"{name}.png").unlink()  # the truth has ids of all that are asked
    said.clear()
    assert measure_folder(folder, tmp_path / "o4", truth=data, resamples=100, warn=said.append)["error"]["class 1"]
    assert not any("the errors are of" in s for s in said)
    for name in training:
        shutil.copy(data / content["training"][0]["segmentation"], folder / "masks" / f"{name}.png")
    (folder / "masks" / f"{content['validation'][0]['image'][-6:-4]}.png").unlink()
    with pytest.raises(MeasureError, match=r"holds no ids of 3 of 3 images .* '.*my', by --truth instead"):
        measure_folder(folder, tmp_path / "o6", truth=data, ids="pieces", resamples=100)


def test_ids_of_all_or_of_none_are_no_mixture(folder, tmp_path):
    said = []
    for path in (folder / "masks").iterdir():
        Image.fromarray((IDS > 0).astype(np.uint8)).save(path)
    (folder / "masks").rename(folder / "classes")
    build_datalist(folder, tmp_path / "d", BuildOptions(classes=["grain"], validation=1))
    assert objects(measure_folder(tmp_path / "d", tmp_path / "o", resamples=100, warn=said.append)) == [24]
    assert said == []


@pytest.fixture
def predicted(tmp_path):
    """Predictions of four images of one class."""
    out = tmp_path / "out"
    out.mkdir()
    for k in range(4):
        tifffile.imwrite(out / f"s{k}_instances.tif", IDS)
        Image.fromarray((IDS > 0).astype(np.uint8)).save(out / f"s{k}_pred.png")
    return out


def test_a_folder_that_lost_ids_of_some_images_is_told_of(predicted, tmp_path):
    said = []
    measure_folder(predicted, predicted / "measured", resamples=100)
    for name in ("s1", "s2"):
        (predicted / f"{name}_instances.tif").unlink()
    assert objects(measure_folder(predicted, tmp_path / "o", resamples=100, warn=said.append)) == [2 * 12 + 2 * 6]
    (sentence,) = said
    assert sentence.startswith(f"'{predicted}' holds no ids of 2 of 4 images (s1, s2), so that their connected pieces")
    assert sentence.endswith(f"move their class maps away, such as '{predicted / 's1_pred.png'}', to leave them out.")
    assert "holds no ids of 2 of 4 images" in make_report(predicted).read_text(), "measured when all had ids"
    said.clear()
    assert measure_folder(predicted, tmp_path / "o1", truth=predicted, resamples=100, warn=said.append)["truth_images"] == 2
    assert any(f"not of s1, s2, which have no exact label in '{predicted}'; of 2 '{predicted}' holds no ids" in s for s in said)
    said.clear()
    export_objects(predicted, "coco", warn=said.append)
    assert sentence in said
    said.clear()
    measure_folder(predicted, tmp_path / "o2", images={"s0": "s0", "s3": "s3"}, resamples=100, dry_run=True, warn=said.append)
    for name in ("s1", "s2"):
        (predicted / f"{name}_pred.png").unlink()  # what the sentence asks for
    assert objects(measure_folder(predicted, tmp_path / "o3", resamples=100, warn=said.append)) == [24]
    assert said == []


@pytest.mark.parametrize("corrected", [False, True])
def test_to_predict_again_is_advised_where_it_helps(predicted, tmp_path, corrected):
    """A corrected class map is not predicted again, and would be lost if it were."""
    stamp, records = Stamp("11" * 16, {"classes": ["ice"]}), Records(predicted)
    with locked(predicted):
        records.add_stamp(stamp)
    for k in range(4):
        Image.fromarray(np.full((9, 9), k, np.uint8)).save(tmp_path / f"s{k}.png")
        file = predicted / f"s{k}_pred.png"
        records.add(f"s{k}", Record.of(stamp, tmp_path / f"s{k}.png", predicted).giving(file))
    (predicted / "s1_instances.tif").unlink()
    if corrected:
        Image.fromarray(np.eye(*IDS.shape, dtype=np.uint8)).save(predicted / "s1_pred.png")
    said = []
    measure_folder(predicted, tmp_path / "o", resamples=100, warn=said.append)
    (sentence,) = [sentence for sentence in said if "holds no ids of 1 of 4 images" in sentence]
    assert ("(predict them again into this folder)" in sentence) == (not corrected)


def test_class_maps_alone_and_empty_ones_are_no_mixture(predicted, folder, tmp_path):
    said = []
    Image.fromarray(np.zeros(IDS.shape, np.uint8)).save(predicted / "s0_pred.png")
    (predicted / "s0_instances.tif").unlink()
    assert objects(measure_folder(predicted, tmp_path / "o", resamples=100, warn=said.append)) == [36]
    for path in predicted.glob("*_instances.tif"):
        path.unlink()
    assert objects(measure_folder(predicted, tmp_path / "o2", resamples=100, warn=said.append)) == [18]
    assert said == []
    (folder / "classes").mkdir()  # exact labels: classes of all, ids of some
    for k in range(4):
        Image.fromarray((IDS > 0).astype(np.uint8)).save(folder / "classes" / f"s{k}.png")
    (folder / "masks" / "s3.png").unlink()
    measure_folder(folder, tmp_path / "o3", resamples=100, warn=said.append)
    assert len(said) == 1
    assert "holds no ids of 1 of 4 images (s3)" in said[0]


@pytest.fixture
def two_classes(predicted):
    """The same with two classes of six objects each in an image, and class maps of two images."""
    (predicted / "classes.json").write_text('["pore", "grain"]')
    for k in range(4):
        Image.fromarray(np.where(IDS > 6, 2, IDS > 0).astype(np.uint8)).save(predicted / f"s{k}_pred.png")
    return predicted


def test_objects_whose_class_map_is_gone_are_of_no_class_that_anybody_knows(two_classes, tmp_path):
    measure_folder(two_classes, two_classes / "measured", resamples=100)
    for name in ("s1", "s2"):
        (two_classes / f"{name}_pred.png").rename(tmp_path / f"{name}_pred.png")
    sentence = (
        f"'{two_classes}' holds no class map of 2 of 4 images (s1, s2), which says of what class (pore, grain) each object is: "
        f"add them, or move their ids away, such as '{two_classes / 's1_instances.tif'}', to leave them out."
    )
    for options in {}, {"dry_run": True}, {"truth": two_classes, "classes": ["a", "b"]}:
        with pytest.raises(MeasureError) as error:
            measure_folder(two_classes, tmp_path / "o", resamples=100, **options)
        assert str(error.value) == sentence.replace("pore, grain", ", ".join(options.get("classes", ["pore", "grain"])))
    assert not (tmp_path / "o").exists()
    with pytest.raises(LazyLabelsError) as error:
        export_objects(two_classes, "coco", tmp_path / "c")
    assert (str(error.value), (tmp_path / "c").exists()) == (sentence, False)
    for measured in (True, False):
        assert "holds no class map of 2 of 4 images" in make_report(two_classes, overwrite=True).read_text(), measured
        if measured:
            shutil.rmtree(two_classes / "measured")
    for name in ("s1", "s2"):
        (two_classes / f"{name}_instances.tif").unlink()  # what the sentence asks for
    assert objects(measure_folder(two_classes, tmp_path / "o", resamples=100)) == [12, 12]


def test_exact_ids_without_class_maps(two_classes, tmp_path):
    exact = tmp_path / "exact"
    for name in ("masks", "classes"):
        (exact / name).mkdir(parents=True)
    for k in range(4):
        shutil.copy(two_classes / f"s{k}_instances.tif", exact / "masks" / f"s{k}.tif")
        shutil.copy(two_classes / f"s{k}_pred.png", exact / "classes" / f"s{k}.png")
    (exact / "classes" / "s0.png").unlink()
    with pytest.raises(MeasureError, match=r"holds no class map of 1 of 4 images \(s0\).* \(class 1, class 2\)"):
        measure_folder(exact, tmp_path / "o", resamples=100)
    with pytest.raises(MeasureError, match=r"exact' holds no class map of 1 of 4 images .*, or measure predictions of other"):
        measure_folder(two_classes, tmp_path / "o", truth=exact, resamples=100)
    tifffile.imwrite(exact / "masks" / "s0.tif", IDS * 0)  # of no object the class is unknown
    assert objects(measure_folder(exact, tmp_path / "o", resamples=100)) == [18, 18]


def test_ids_alone_are_of_one_class(two_classes, tmp_path):
    for path in two_classes.glob("*_pred.png"):
        path.unlink()
    with pytest.raises(MeasureError, match="to leave them out, or name the one class of all by --classes"):
        measure_folder(two_classes, tmp_path / "o", resamples=100)
    assert objects(measure_folder(two_classes, tmp_path / "o", classes=["pore"], resamples=100)) == [48]
    (two_classes / "classes.json").unlink()
    assert objects(measure_folder(two_classes, tmp_path / "o2", resamples=100)) == [48]


def strokes():
    picture = Image.new("L", IDS.shape[::-1], 255)
    drawing = ImageDraw.Draw(picture)
    drawing.line([(8, 10), (22, 12)], fill=1, width=3)
    drawing.line([(28, 2), (28, 40)], fill=0, width=2)
    return np.asarray(picture)


def test_strokes_are_no_masks(tmp_path):
    mask = (IDS > 0).astype(np.uint8)
    for picture in (strokes(), np.full((9, 9), 255, np.uint8)):
        assert are_strokes(picture)
    partly = mask.copy()
    partly[:, 30:] = 255
    band = np.where(ndimage.binary_dilation(mask) & (mask == 0), 255, mask)  # as in PASCAL VOC
    for picture in (mask, partly, band, mask * 0):
        assert not are_strokes(picture)
    items, said = [], []
    for name, picture in (("a", strokes()), ("b", strokes()), ("m", mask)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        items.append({"image": f"{name}.png", "segmentation": f"{name}.png"})
    data = tmp_path / "datalist.json"
    data.write_text(json.dumps({"classes": ["grain"], "training": items[:2]}))
    with pytest.raises(MeasureError, match=r"holds strokes and no exact mask of its images \('.*a\.png' is one\)"):
        measure_folder(tmp_path, tmp_path / "o")
    with pytest.raises(MeasureError, match="holds strokes and no exact mask"):
        measure_folder(tmp_path, tmp_path / "o", truth=tmp_path)
    data.write_text(json.dumps({"classes": ["grain"], "training": items}))
    result = measure_folder(tmp_path, tmp_path / "o", resamples=100, warn=said.append)
    assert result["classes"]["grain"]["area_fraction"]["value"] == pytest.approx(mask.mean())
    assert len(said) == 1
    assert "2 of 3 images" in said[0]
