"""Lazy data sets made out of exactly labelled ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.simulating.simulate import simulate
from lazylabels_monai.data.simulating.writing import format_summary
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interfaces

SHAPE = (40, 56)  # rows, columns


def read(path):
    return np.array(Image.open(path))


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def labels(seed):
    """Two touching squares, one apart, at a place that depends on the seed; ids above 255."""
    instances = np.zeros(SHAPE, np.uint16)
    top = 3 + seed % 5
    instances[top : top + 15, 4:18], instances[top : top + 15, 18:30], instances[22:38, 36:52] = 300, 7, 1000
    return instances


def source(root, kind="masks", splits=(("train", 10), ("val", 2), ("test", 3)), names="{split}{k}"):
    for split, count in splits:
        for k in range(count):
            name = names.format(split=split, k=k) + ".png"
            instances = labels(k)
            rng = np.random.default_rng(k + 100 * len(split))
            image = rng.integers(0, 60, SHAPE).astype(np.uint8)
            image[instances > 0] += 120
            write(root / split / "images" / name, image)
            if kind in ("masks", "both"):
                write(root / split / "masks" / name, instances)
            if kind in ("classes", "both"):
                write(root / split / "classes" / name, np.select([instances == 1000, instances > 0], [2, 1]).astype(np.uint8))
    return root


def datalist(out):
    return json.loads((out / "datalist.json").read_text())


def carried(out, key, section="training"):
    return {item["image"] for item in datalist(out)[section] if key in item}


def test_from_instance_masks(tmp_path):
    summary = simulate(source(tmp_path / "src"), tmp_path / "out", strong=2, detection=0.5, separation="all", seed=3)
    out = tmp_path / "out"
    made = datalist(out)
    assert made["classes"] == ["object1"]
    assert [len(made[s]) for s in ("training", "validation", "testing")] == [10, 2, 3]
    assert [len(carried(out, k)) for k in ("segmentation", "detection", "separation", "instances")] == [2, 5, 10, 0]
    assert made["simulation"]["seed"] == 3
    assert made["simulation"]["strong"] == 2
    for item in made["validation"] + made["testing"]:
        assert set(item) == {"image", "segmentation", "detection", "separation", "instances"}
    item = made["testing"][2]
    assert (out / item["image"]).read_bytes() == (tmp_path / "src/test/images/test2.png").read_bytes()
    truth = read(tmp_path / "src/test/masks/test2.png")
    assert np.array_equal(read(out / item["instances"]), truth)
    assert np.array_equal(read(out / item["segmentation"]), truth > 0)
    assert np.array_equal(read(out / item["separation"]), interfaces(truth, 2, 3))
    inner = read(out / item["detection"])
    assert inner.shape == SHAPE
    assert not inner[truth == 0].any()
    assert all(inner[truth == k].any() for k in (7, 300, 1000))
    assert summary["objects"] == 3 * 15
    assert summary["interfaces"] == 15
    assert 0.5 < summary["inner_region_dice"] < 0.9


def test_hours_buy_labels_by_the_cost_model(tmp_path):
    """Each image has 3 objects, one pair of which touches: 237 s exact, 32.7 s marked, 2.4 s scribbled (Bearman et al.)."""
    hours = {"strong": "0.2h", "detection": "0.05h", "separation": "0.0041h"}  # 720, 180 and 14.8 s
    simulate(source(tmp_path / "src"), tmp_path / "out", **hours)
    made = [len(carried(tmp_path / "out", key)) for key in ("segmentation", "detection", "separation")]
    assert made == [int(720 / 237), int(180 / 32.7), int(14.8 / 2.4)] == [3, 5, 6]


def test_from_class_masks(tmp_path):
    simulate(source(tmp_path / "src", "classes"), tmp_path / "out", classes=["square", "far square"])
    made = datalist(tmp_path / "out")
    assert made["classes"] == ["square", "far square"]
    item = made["testing"][0]
    instances = read(tmp_path / "out" / item["instances"])
    assert instances.max() == 2  # the touching squares are one component
    assert not read(tmp_path / "out" / item["separation"]).any()
    assert set(np.unique(read(tmp_path / "out" / item["detection"]))) == {0, 1, 2}


def test_masks_and_classes_together(tmp_path):
    simulate(source(tmp_path / "src", "both"), tmp_path / "out")
    made = datalist(tmp_path / "out")
    assert made["classes"] == ["object1", "object2"]
    item = made["testing"][0]
    assert set(np.unique(read(tmp_path / "out" / item["instances"]))) == {0, 7, 300, 1000}
    assert set(np.unique(read(tmp_path / "out" / item["segmentation"]))) == {0, 1, 2}
    assert read(tmp_path / "out" / item["separation"]).any()


def test_draws_depend_on_the_seed_and_are_nested(tmp_path):
    src = source(tmp_path / "src")
    for seed in (0, 1):
        for strong in (1, 2, 4):
            simulate(src, tmp_path / f"{seed}-{strong}", strong=strong, detection=6, separation=8, seed=seed)
    for key, small, large in (("segmentation", 1, 2), ("segmentation", 2, 4)):
        assert carried(tmp_path / f"0-{small}", key) < carried(tmp_path / f"0-{large}", key)
    # A draw for one task does not shift those for the others.
    assert carried(tmp_path / "0-1", "detection") == carried(tmp_path / "0-4", "detection")
    assert any(
        carried(tmp_path / "0-4", key) != carried(tmp_path / "1-4", key) for key in ("segmentation", "detection", "separation")
    )
    again = simulate(src, tmp_path / "again", strong=4, detection=6, separation=8, seed=0)
    for path in (tmp_path / "0-4").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "0-4")).read_bytes()
    assert again["images"]["training"]["detection"] == 6


def test_training_images_without_a_label_are_left_out_and_named(tmp_path):
    summary = simulate(source(tmp_path / "src"), tmp_path / "out", strong=2, detection=0, separation=0)
    made = datalist(tmp_path / "out")
    assert len(made["training"]) == 2
    assert len(summary["unlabelled"]) == 8
    assert made["simulation"]["unlabelled"] == summary["unlabelled"]
    assert all((tmp_path / "out" / name).is_file() for name in summary["unlabelled"])
    assert "8 images" in format_summary(summary)


def test_val_is_for_testing_where_there_is_no_test(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 10), ("val", 4)))
    simulate(src, tmp_path / "out")
    made = datalist(tmp_path / "out")
    assert {item["image"] for item in made["testing"]} == {f"images/val{k}.png" for k in range(4)}
    assert [len(made["training"]), len(made["validation"])] == [8, 2]
    assert all(item["image"].startswith("images/train") for item in made["validation"])
    simulate(src, tmp_path / "three", validation=3)
    assert [len(datalist(tmp_path / "three")[s]) for s in ("training", "validation", "testing")] == [7, 3, 4]
    simulate(src, tmp_path / "none", validation=0)
    assert [len(datalist(tmp_path / "none")[s]) for s in ("training", "validation", "testing")] == [10, 0, 4]


def test_no_image_in_two_sections(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 10), ("testA", 2), ("testB", 2)))
    simulate(src, tmp_path / "out", strong="all", detection="all")
    made = datalist(tmp_path / "out")
    names = [item["image"] for s in ("training", "validation", "testing") for item in made[s]]
    assert len(names) == len(set(names)) == 14
    assert len(made["testing"]) == 4


def test_names_that_clash_get_their_split_in_front(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 4), ("val", 2), ("testA", 3)), names="image{k}")
    simulate(src, tmp_path / "out", strong="all")
    made = datalist(tmp_path / "out")
    assert [item["image"] for item in made["validation"]] == ["images/val_image0.png", "images/val_image1.png"]
    assert "images/image3.png" in {item["image"] for item in made["training"]}  # occurs once
    for split, item in (("testA", made["testing"][1]), ("val", made["validation"][1])):
        assert (tmp_path / "out" / item["image"]).read_bytes() == (src / split / "images/image1.png").read_bytes()


def test_subset(tmp_path):
    src = source(tmp_path / "src")
    for n in (3, 5):
        simulate(src, tmp_path / str(n), subset={"train": n, "test": 1}, strong=1, detection="all")
        assert [len(datalist(tmp_path / str(n))[s]) for s in ("training", "validation", "testing")] == [n, 2, 1]
    assert carried(tmp_path / "3", "image") < carried(tmp_path / "5", "image")
    two = source(tmp_path / "two", splits=(("train", 10), ("val", 4)))
    simulate(two, tmp_path / "out", subset={"train": 6, "val": 3, "test": 2}, strong=1)
    assert [len(datalist(tmp_path / "out")[s]) for s in ("training", "validation", "testing")] == [6, 3, 2]
    assert not carried(tmp_path / "out", "image") & carried(tmp_path / "out", "image", "validation")


def test_validation_images_come_beside_a_subset(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 10), ("test", 3)))
    simulate(src, tmp_path / "out", subset={"train": 2}, validation=6)
    assert [len(datalist(tmp_path / "out")[section]) for section in ("training", "validation")] == [2, 6]
    simulate(src, tmp_path / "share", subset={"train": 4}, validation=0.5)  # a share is one of the subset
    assert [len(datalist(tmp_path / "share")[section]) for section in ("training", "validation")] == [4, 2]
    with pytest.raises(LazyLabelsError, match="validation 11 is more than the 10 training images"):
        simulate(src, tmp_path / "many", subset={"train": 2}, validation=11)
    with pytest.raises(LazyLabelsError, match="train=5 is more than the 4 images"):
        simulate(src, tmp_path / "few", subset={"train": 5}, validation=6)


def test_scale(tmp_path):
    simulate(source(tmp_path / "src", "both"), tmp_path / "out", scale=0.5)
    item = datalist(tmp_path / "out")["testing"][0]
    arrays = {key: read(tmp_path / "out" / name) for key, name in item.items()}
    assert {a.shape for a in arrays.values()} == {(20, 28)}
    assert arrays["image"].dtype == np.uint8
    assert set(np.unique(arrays["instances"])) == {0, 7, 300, 1000}
    assert set(np.unique(arrays["segmentation"])) == {0, 1, 2}
    inside = arrays["image"][arrays["instances"] == 1000].mean()
    assert inside > arrays["image"][arrays["instances"] == 0].mean() + 100
    # Labels made at the new size, not shrunk ones.
    assert np.array_equal(arrays["separation"], interfaces(arrays["instances"], 2, 3))


def test_scale_of_rgb_and_16_bit_images(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 3), ("test", 2)))
    rgb = np.zeros((*SHAPE, 3), np.uint8)
    rgb[..., 1], rgb[..., 2] = 90, 200
    write(src / "test/images/test0.png", rgb)
    write(src / "test/images/test1.png", np.full(SHAPE, 40000, np.uint16))
    simulate(src, tmp_path / "out", scale=0.5)
    first, second = (read(tmp_path / "out" / item["image"]) for item in datalist(tmp_path / "out")["testing"])
    assert first.shape == (20, 28, 3)
    assert first[3, 3].tolist() == [0, 90, 200]
    assert second.dtype == np.uint16
    assert (second == 40000).all()


def test_images_without_objects(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 4), ("val", 1), ("test", 2)))
    for path in ("train/masks/train0.png", "train/masks/train2.png", "test/masks/test1.png"):
        write(src / path, np.zeros(SHAPE, np.uint16))
    simulate(src, tmp_path / "out", strong=2, detection="all")
    out = tmp_path / "out"
    # Nobody draws a mask where there is nothing to draw.
    assert carried(out, "segmentation") == carried(out, "detection") == {"images/train1.png", "images/train3.png"}
    assert [item.get("empty", False) for item in datalist(out)["testing"]] == [False, True]


def test_nothing_is_overwritten_unasked(tmp_path):
    src, out = source(tmp_path / "src"), tmp_path / "out"
    simulate(src, out, strong=1)
    before = (out / "datalist.json").read_text()
    with pytest.raises(FileExistsError, match="out is not empty"):
        simulate(src, out, strong=3)
    assert (out / "datalist.json").read_text() == before
    simulate(src, out, strong=3, overwrite=True)
    assert len(carried(out, "segmentation")) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"no datalist\.json"):
        simulate(src, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ValueError, match="lies in the source"):
        simulate(src, src / "train")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out", "src"]


def drop_mask(src):
    (src / "val/masks/val1.png").unlink()


def drop_masks(src):
    for path in (src / "train/masks").iterdir():
        path.unlink()
    (src / "train/masks").rmdir()


def drop_images(src):
    for path in (src / "train/images").iterdir():
        path.unlink()


def other_size(src):
    write(src / "test/masks/test0.png", np.ones((56, 40), np.uint8))


def rgb_mask(src):
    write(src / "test/masks/test0.png", np.full((*SHAPE, 3), (1, 2, 3), np.uint8))


def negative_mask(src):
    (src / "test/masks/test0.png").unlink()
    tifffile.imwrite(src / "test/masks/test0.tif", np.full(SHAPE, -1, np.int16))


def no_image(src):
    (src / "test/masks/test0.png").write_bytes(b"not an image")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (drop_mask, FileNotFoundError, r"val.masks has no label for val1\.png"),
        (drop_masks, FileNotFoundError, "train has neither masks/"),
        (drop_images, FileNotFoundError, "images holds no image"),
        (other_size, ValueError, r"test0\.png is 40 x 56 pixels, its image test0\.png is 56 x 40"),
        (rgb_mask, ValueError, r"test0\.png' is a colour picture"),
        (negative_mask, ValueError, r"test0\.tif holds values from -1 to -1"),
        (no_image, ValueError, r"test0\.png' cannot be read"),
    ],
)
def test_damaged_sources(tmp_path, damage, error, message):
    src = source(tmp_path / "src")
    damage(src)
    with pytest.raises(error, match=message) as caught:
        simulate(src, tmp_path / "out")
    assert isinstance(caught.value, LazyLabelsError)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["src"]  # nothing half made


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"strong": 11}, "strong 11 is more than the 10 training images"),
        ({"detection": -2}, "detection -2"),
        ({"subset": {"train": 99}}, "subset train=99 is more than the 10"),
        ({"subset": {"trian": 3}}, "key 'trian'"),
        ({"scale": 0}, "scale 0"),
        ({"validation": 2}, "has its own val/"),
        ({"classes": []}, "class 1, but only 0"),
        ({"test": 2}, "has its own test/"),
        ({"style": "crayon"}, "style 'crayon' must be one of erode, blob, stroke"),
        ({"keep": 0}, "keep 0 must be above 0"),
        ({"keep": 0.5, "share": 0.2}, "share 0.2 is the cut-off"),
        ({"style": "blob", "share": 0.2}, "share 0.2 is the cut-off"),
        ({"interface_share": 1.5}, "interface share 1.5"),
        ({"wobble": -1}, "wobble -1"),
        ({"missed": "maybe"}, "missed 'maybe' must be one of ignore, other"),
    ],
)
def test_ill_arguments(tmp_path, kwargs, message):
    with pytest.raises(LazyLabelsError, match=message):
        simulate(source(tmp_path / "src"), tmp_path / "out", **kwargs)
    assert not (tmp_path / "out").exists()


def test_ill_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        simulate(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no train/"):
        simulate(tmp_path / "empty", tmp_path / "out")


def test_one_split_alone_is_the_training_split(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 10),)) / "train"
    simulate(src, tmp_path / "out", strong="all")
    assert [len(datalist(tmp_path / "out")[s]) for s in ("training", "validation", "testing")] == [8, 2, 0]
    simulate(src, tmp_path / "three", strong="all", validation=2, test=3)
    made = datalist(tmp_path / "three")
    assert [len(made[s]) for s in ("training", "validation", "testing")] == [5, 2, 3]
    names = [item["image"] for s in ("training", "validation", "testing") for item in made[s]]
    assert len(set(names)) == 10
    assert made["simulation"]["test"] == 3
    simulate(src, tmp_path / "other", strong="all", validation=2, test=3, seed=1)
    assert carried(tmp_path / "other", "image", "testing") != carried(tmp_path / "three", "image", "testing")
    with pytest.raises(LazyLabelsError, match="test 11 is more than the 10"):
        simulate(src, tmp_path / "many", test=11)


def test_test_images_out_of_train_leave_val_alone(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 10), ("val", 4)))
    simulate(src, tmp_path / "out", test=0.2)
    made = datalist(tmp_path / "out")
    assert [len(made[s]) for s in ("training", "validation", "testing")] == [8, 4, 2]
    assert all(item["image"].startswith("images/train") for item in made["testing"])
    assert all(item["image"].startswith("images/val") for item in made["validation"])


def test_dry_run_says_what_a_run_writes_and_writes_nothing(tmp_path):
    src = source(tmp_path / "src", "both")
    planned = simulate(src, tmp_path / "out", strong=2, detection=3, separation=4, dry_run=True)
    assert [p.name for p in tmp_path.iterdir()] == ["src"]
    made = simulate(src, tmp_path / "out", strong=2, detection=3, separation=4)
    assert planned["images"] == made["images"]
    assert planned["classes"] == made["classes"]
    assert planned["files"] == made["files"] == sum(p.is_file() for p in (tmp_path / "out").rglob("*"))
    assert len(planned["unlabelled"]) == len(made["unlabelled"]) > 0
    assert "nothing is written" in format_summary(planned)
    assert "nothing is written" not in format_summary(made)
    with pytest.raises(FileExistsError, match="not empty"):
        simulate(src, tmp_path / "out", dry_run=True)


def test_every_parameter_is_recorded(tmp_path):
    marks = {"style": "blob", "keep": 0.4, "jitter": 0.2, "gap": 1, "thickness": 2, "wobble": 1.5, "interface_share": 0.5}
    summary = simulate(source(tmp_path / "src"), tmp_path / "out", strong=1, detection="all", seed=4, **marks, missed="other")
    recorded = datalist(tmp_path / "out")["simulation"]
    expected = {**marks, "missed": "other", "share": None, "seed": 4, "strong": 1, "detection": 10, "separation": 10}
    assert {key: recorded[key] for key in expected} == expected
    assert {"source", "scale", "subset", "validation", "test", "unlabelled"} <= set(recorded)
    assert summary["share_kept"] == pytest.approx(0.4, abs=0.05)
    simulate(tmp_path / "src", tmp_path / "default")
    recorded = datalist(tmp_path / "default")["simulation"]
    assert (recorded["style"], recorded["share"], recorded["keep"], recorded["interface_share"]) == ("erode", 0.27, None, 1.0)


def test_interfaces_without_a_scribble_are_unlabelled_in_training_only(tmp_path):
    src = source(tmp_path / "src")
    for missed in ("ignore", "other"):
        out = tmp_path / missed
        summary = simulate(src, out, interface_share=0, missed=missed)
        assert (summary["interfaces"], summary["scribbles"]) == (15, 5)  # of validation and testing
        assert "15 found, 5 scribbled" in format_summary(summary)
        seen = {v for i in datalist(out)["training"] for v in np.unique(read(out / i["separation"]))}
        assert seen == ({0, 255} if missed == "ignore" else {0})
        for item in datalist(out)["testing"]:
            assert np.array_equal(read(out / item["separation"]), interfaces(read(out / item["instances"])))


@pytest.mark.parametrize("marks", [{"style": "blob"}, {"keep": 1.0}, {"wobble": 1.0}])
def test_no_scribble_runs_through_an_inner_region(tmp_path, marks):
    simulate(source(tmp_path / "src"), tmp_path / "out", detection="all", thickness=9, **marks)
    for item in datalist(tmp_path / "out")["training"]:
        separation = read(tmp_path / "out" / item["separation"])
        assert separation.any()
        assert not separation[read(tmp_path / "out" / item["detection"]) > 0].any()


def test_16_bit_colour_and_tiff_sources(tmp_path):
    src = source(tmp_path / "src", splits=(("train", 3),)) / "train"
    for path in (src / "images").iterdir():
        path.unlink()
    pictures = {
        "train0": np.full((*SHAPE, 3), (1000, 2000, 60000), np.uint16),
        "train1": np.full(SHAPE, 0.25, np.float32),
        "train2": np.full((*SHAPE, 2), (7, 9), np.uint8),
    }
    for name, array in pictures.items():
        kind = {"photometric": "rgb"} if array.shape[-1] == 3 else {"photometric": "minisblack"}
        tifffile.imwrite(src / "images" / f"{name}.tif", array, planarconfig="contig" if array.ndim == 3 else None, **kind)
    simulate(src, tmp_path / "out", validation=0, scale=0.5)
    for item in datalist(tmp_path / "out")["training"]:
        image = read_image(tmp_path / "out" / item["image"])
        original = pictures[item["image"].split("/")[1].split(".")[0]]
        assert image.shape == (20, 28, *original.shape[2:])
        assert image.dtype == original.dtype
        assert image[5, 5].tolist() == original[0, 0].tolist()


@pytest.mark.real_data
def test_superalloy(data_root, tmp_path):
    summary = simulate(data_root / "superalloy", tmp_path / "out", strong=1, detection=8, separation=10, seed=0)
    assert summary["images"] == {
        "training": {"images": 10, "segmentation": 1, "detection": 8, "separation": 10},
        "validation": {"images": 4, "segmentation": 4, "detection": 4, "separation": 4},
        "testing": {"images": 4, "segmentation": 4, "detection": 4, "separation": 4},
    }
    assert summary["classes"] == ["object1", "object2"]
    assert 0.66 < summary["inner_region_dice"] < 0.78
    item = datalist(tmp_path / "out")["testing"][0]
    truth = read(next((data_root / "superalloy/test/classes").glob(f"*{item['image'].split('/')[1]}")))
    assert np.array_equal(read(tmp_path / "out" / item["segmentation"]), truth)
    instances = read(tmp_path / "out" / item["instances"])
    assert np.array_equal(instances > 0, truth > 0)
    marked = read(tmp_path / "out" / item["detection"])
    assert set(np.unique(instances[marked > 0])) == set(range(1, instances.max() + 1))
    assert np.array_equal(marked > 0, inner_regions(instances, marked.astype(int), share=0, jitter=0) * marked > 0)
