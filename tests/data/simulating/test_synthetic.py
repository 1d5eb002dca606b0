"""The built-in data sets: the same for the same seed, and never over files that were there."""

from __future__ import annotations

import json
import multiprocessing

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image, make_volume
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES, ensure_dataset, make_dataset, make_volume_dataset
from lazylabels_monai.errors import LazyLabelsError

SIZE = (96, 128)


def read(path):
    return np.array(Image.open(path))


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("built-in") / "set"
    return root, make_dataset(root, num_train=4, num_validation=1, num_test=2, size=SIZE, detection=3, separation=4)


def test_dataset(small_set):
    root, summary = small_set
    datalist = json.loads((root / "datalist.json").read_text())
    assert datalist["classes"] == list(CLASS_NAMES)
    assert [len(datalist[s]) for s in ("training", "validation", "testing")] == [4, 1, 2]
    assert summary["images"]["training"] == {"images": 4, "segmentation": 2, "detection": 3, "separation": 4}
    for section in ("training", "validation", "testing"):
        for item in datalist[section]:
            for key, name in item.items():
                array = read(root / name)
                assert array.shape == SIZE
                assert array.dtype == (np.uint16 if key == "instances" else np.uint8)
    test_item = datalist["testing"][1]
    truth = make_image(SIZE, (0, 2, 1))
    assert np.array_equal(read(root / test_item["image"]), truth["image"])
    assert np.array_equal(read(root / test_item["segmentation"]), truth["classes"])
    assert np.array_equal(read(root / test_item["instances"]), truth["instances"])
    assert set(np.unique(read(root / test_item["separation"]))) == {0, 1}


def test_more_images_leave_the_first_ones_alone(small_set, tmp_path):
    root, _ = small_set
    make_dataset(tmp_path / "more", num_train=5, num_validation=0, num_test=1, size=SIZE)
    for name in ("train_000", "train_003", "test_000"):
        path = f"images/microstructure_{name}.png"
        assert (tmp_path / "more" / path).read_bytes() == (root / path).read_bytes()


def test_the_same_call_writes_the_same_bytes(small_set, tmp_path):
    root, _ = small_set
    make_dataset(tmp_path / "again", num_train=4, num_validation=1, num_test=2, size=SIZE, detection=3, separation=4)
    files = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
    assert len(files) > 20
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (root / name).read_bytes(), name


TINY = {"num_train": 2, "num_validation": 1, "num_test": 1, "size": (64, 72)}


def test_ensure_makes_once_and_then_uses_what_is_there(tmp_path):
    root = tmp_path / "new" / "set"
    path = ensure_dataset(root, **TINY)
    assert path == str(root / "datalist.json")
    (root / "datalist.json").write_text("mine now")
    assert ensure_dataset(root, num_train=3) == path
    assert (root / "datalist.json").read_text() == "mine now"


def test_ensure_fills_an_empty_folder(tmp_path):
    (tmp_path / "set").mkdir()
    ensure_dataset(tmp_path / "set", **TINY)
    assert len(list((tmp_path / "set" / "images").iterdir())) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_ensure_never_touches_a_folder_of_others(tmp_path):
    root = tmp_path / "holiday"
    root.mkdir()
    (root / "beach.png").write_bytes(b"sea")
    with pytest.raises(FileExistsError, match=r"holiday holds files but no datalist\.json") as caught:
        ensure_dataset(root, **TINY)
    assert isinstance(caught.value, LazyLabelsError)
    assert "\n" not in str(caught.value)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="holiday"):
            make_dataset(root, overwrite=overwrite, **TINY)
    assert [p.name for p in root.iterdir()] == ["beach.png"]
    assert (root / "beach.png").read_bytes() == b"sea"
    assert [p.name for p in tmp_path.iterdir()] == ["holiday"]


def _ensure_together(root, barrier, answers):
    barrier.wait(60)
    try:
        answers.put(ensure_dataset(root, **TINY))
    except Exception as error:
        answers.put(repr(error))


def test_ensure_from_several_processes_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    root = tmp_path / "shared"
    barrier, answers = context.Barrier(3), context.Queue()
    ranks = [context.Process(target=_ensure_together, args=(root, barrier, answers)) for _ in range(3)]
    for rank in ranks:
        rank.start()
    said = [answers.get(timeout=120) for _ in ranks]
    for rank in ranks:
        rank.join(60)
    assert said == [str(root / "datalist.json")] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["shared"]  # the losers cleaned up
    datalist = json.loads((root / "datalist.json").read_text())
    assert all((root / name).is_file() for item in datalist["testing"] for name in item.values())


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make_dataset(tmp_path / "set", **TINY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_volumes_load_through_monai_with_equal_axes(tmp_path, suffix):
    from monai.transforms import LoadImage

    size = (20, 26, 34)
    summary = make_volume_dataset(tmp_path / "volumes", suffix, num_train=1, num_validation=0, num_test=1, size=size, strong=1)
    assert summary["images"]["testing"]["segmentation"] == 1
    datalist = json.loads((tmp_path / "volumes" / "datalist.json").read_text())
    item, truth = datalist["testing"][0], make_volume(size, (0, 2, 0))
    loaded = {key: LoadImage(image_only=True)(tmp_path / "volumes" / name) for key, name in item.items()}
    assert set(loaded) == {"image", "segmentation", "detection", "separation", "instances"}
    for key, volume in loaded.items():
        assert tuple(volume.shape) == size
        assert np.array_equal(volume.affine, loaded["image"].affine), key
    assert np.array_equal(loaded["image"], truth["image"])
    assert np.array_equal(loaded["segmentation"], truth["classes"])
    assert np.array_equal(loaded["instances"], truth["instances"])
    inside = np.asarray(loaded["detection"]) > 0
    assert np.array_equal(np.asarray(loaded["detection"])[inside], truth["classes"][inside])


def test_ill_volume_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"suffix '\.png'"):
        make_volume_dataset(tmp_path / "v", ".png")
    assert list(tmp_path.iterdir()) == []
