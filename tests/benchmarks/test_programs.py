"""Other programs on the same labels: what they are given, what they return, and how a comparison runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from lazylabels_monai.bench import others
from lazylabels_monai.data.single_label import export_single_labels
from tests.helpers import ROOT

FOREST = ROOT / "benchmarks" / "random_forest" / ".venv" / "bin" / "python"
NNUNET = ROOT / "benchmarks" / "nnunet_ignore" / ".venv" / "bin" / "python"
CELLPOSE = ROOT / "benchmarks" / "cellpose3" / ".venv" / "bin" / "python"


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    """The programs are run from the repository's root."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def exported(tiny_data, tmp_path) -> Path:
    export_single_labels(tiny_data, tmp_path / "exported")
    return tmp_path / "exported"


def labels_of(folder: Path) -> list[Path]:
    return sorted((folder / "training" / "labels").iterdir())


# ------------------------------------------------------------------------------------------------ what they are given


def test_images_without_a_known_pixel_are_left_out(exported):
    from benchmarks.exported import read_exported

    first = labels_of(exported)[0]
    assert first.stem in {stem for _, _, stem in read_exported(exported).training()}
    Image.fromarray(np.full((64, 80), 255, np.uint8)).save(first)
    found = read_exported(exported).training()
    assert len(found) == 3
    assert first.stem not in {stem for _, _, stem in found}
    for image, label, stem in found:
        assert np.array_equal(image, tifffile.imread(exported / "training" / "images" / f"{stem}.tif"))
        assert np.array_equal(label, np.asarray(Image.open(exported / "training" / "labels" / f"{stem}.png")))


def test_what_cannot_be_learnt_from_is_named(exported):
    from benchmarks.exported import BenchmarkError, read_exported

    with pytest.raises(BenchmarkError, match=r"dataset\.json.*export"):
        read_exported(exported.parent)
    first, *others = labels_of(exported)
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(first)
    with pytest.raises(BenchmarkError, match=f"{first.name}.*60"):
        read_exported(exported).training()
    for path in (first, *others):
        Image.fromarray(np.full((64, 80), 255, np.uint8)).save(path)
    with pytest.raises(BenchmarkError, match="no labelled image"):
        read_exported(exported).training()
    first.unlink()
    with pytest.raises(BenchmarkError, match=f"{first.name} is not there"):
        read_exported(exported).training()


def test_nnunet_gets_the_same_labels_with_its_ignore_label_on_top(exported, tmp_path):
    from benchmarks.exported import read_exported
    from benchmarks.nnunet_ignore.__main__ import write_raw

    raw = tmp_path / "raw"
    write_raw(read_exported(exported), raw)
    about = json.loads((raw / "dataset.json").read_text())
    names = json.loads((exported / "dataset.json").read_text())["classes"]
    assert about["labels"] == {
        "background": 0,
        **{names[0]: 1, names[1]: 2},
        "interface of touching objects": 3,
        "ignore": 4,  # nnU-Net wants it to be the highest
    }
    assert (about["channel_names"], about["numTraining"], about["file_ending"]) == ({"0": "channel 0"}, 4, ".tif")
    for path in labels_of(exported):
        given, made = np.asarray(Image.open(path)), tifffile.imread(raw / "labelsTr" / f"{path.stem}.tif")
        assert np.array_equal(made == 4, given == 255)
        assert np.array_equal(made[given != 255], given[given != 255])
        image = exported / "training" / "images" / f"{path.stem}.tif"
        assert np.array_equal(tifffile.imread(raw / "imagesTr" / f"{path.stem}_0000.tif"), tifffile.imread(image))


def test_gray_images_among_colour_ones_are_refused(exported, tmp_path):
    from benchmarks.exported import BenchmarkError, read_exported
    from benchmarks.nnunet_ignore.__main__ import write_raw

    image = next(iter((exported / "training" / "images").iterdir()))
    tifffile.imwrite(image, np.stack([tifffile.imread(image)] * 3, -1))
    with pytest.raises(BenchmarkError, match=r"\[1, 3\] channels"):
        write_raw(read_exported(exported), tmp_path / "raw")


def test_small_plans_change_the_network_alone():
    from benchmarks.nnunet_ignore.__main__ import small_plans

    kept = {"n_conv_per_stage": [2] * 6, "norm_op": "InstanceNorm", "strides": [[1, 1]] + [[2, 2]] * 5, "n_stages": 6}
    configuration = {"patch_size": [256, 320], "batch_size": 30, "spacing": [1.0, 1.0], "architecture": {"arch_kwargs": kept}}
    plans = {"plans_name": "nnUNetPlans", "dataset_name": "d", "configurations": {"2d": configuration, "3d_fullres": {}}}
    made = small_plans(plans, 96, 4, [8, 16, 32])
    assert (made["plans_name"], made["dataset_name"], list(made["configurations"])) == ("small", "d", ["2d"])
    small = made["configurations"]["2d"]
    assert (small["patch_size"], small["batch_size"], small["spacing"]) == ([96, 96], 4, [1.0, 1.0])
    network = small["architecture"]["arch_kwargs"]
    assert network["norm_op"] == "InstanceNorm"
    assert (network["n_stages"], network["features_per_stage"]) == (3, [8, 16, 32])
    assert network["strides"] == [[1, 1], [2, 2], [2, 2]]
    assert (len(network["n_conv_per_stage"]), len(network["n_conv_per_stage_decoder"])) == (3, 2)


def test_class_maps_replace_earlier_ones_as_a_whole(exported, tmp_path):
    from benchmarks.exported import read_exported, write_predictions

    old = tmp_path / "out" / "predictions" / "old.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")

    def fail(path: Path) -> np.ndarray:
        if "testing" in path.parts:
            raise OSError("no power")
        return np.zeros((64, 80))

    with pytest.raises(OSError, match="no power"):
        write_predictions(read_exported(exported), tmp_path / "out", fail, lambda line: None)
    assert old.is_file()
    write_predictions(read_exported(exported), tmp_path / "out", lambda path: np.full((64, 80), 2), lambda line: None)
    for section, name in (("testing", "predictions"), ("validation", "validation_predictions")):
        stems = sorted(path.stem for path in (exported / section / "images").iterdir())
        assert sorted(path.name for path in (tmp_path / "out" / name).iterdir()) == [f"{stem}.png" for stem in stems]
        assert (np.asarray(Image.open(tmp_path / "out" / name / f"{stems[0]}.png")) == 2).all()


def test_objects_of_an_exact_mask_are_what_lies_between_its_scribbles():
    from benchmarks.masks import objects_of

    label = np.zeros((12, 30), np.uint8)
    label[2:10, 2:12] = label[2:10, 12:22] = 1  # two squares that touch, a third one apart
    label[2:10, 25:29] = 1
    label[1:11, 11:14] = 2
    ids = objects_of(label, 2)
    assert ids.max() == 3
    assert (ids[2:10, 2:12] == ids[5, 5]).all()
    assert (ids[2:10, 13:22] == ids[5, 20]).all()
    assert len({ids[5, 5], ids[5, 20], ids[5, 27], 0}) == 4
    assert (ids[:, 22:25] == 0).all()


@given(ids=arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 3)))
def test_a_class_map_of_objects_has_an_interface_where_two_touch(ids):
    from benchmarks.masks import class_map

    found = class_map(ids, 2)
    for (row, column), value in np.ndenumerate(ids):
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        beside = {ids[place] for place in around if min(place) >= 0 and place[0] < ids.shape[0] and place[1] < ids.shape[1]}
        touches = value > 0 and bool(beside - {0, value})
        assert found[row, column] == (2 if touches else int(value > 0))


def of_one_class(folder: Path, labels: list[np.ndarray | None]) -> None:
    """Make an exported set one of one class, whose training images have these labels; None: scribbles alone."""
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "classes": ["object"], "interface": 2}))
    for path, label in zip(labels_of(folder), labels, strict=True):
        scribbles = np.full((64, 80), 255, np.uint8)
        scribbles[30:34, 20:24] = 2
        Image.fromarray(scribbles if label is None else label).save(path)


def squares() -> np.ndarray:
    """Exact label map (64, 80) of two squares that touch at a scribble, and a third one."""
    label = np.zeros((64, 80), np.uint8)
    label[10:30, 10:50] = label[40:55, 60:75] = 1
    label[8:32, 28:32] = 2
    return label


@pytest.mark.parametrize(("program", "least"), [("StarDist", 2), ("Cellpose", 1)])
def test_exact_masks_alone_are_given_to_those_that_learn_objects(exported, program, least):
    from benchmarks.exported import BenchmarkError, read_exported
    from benchmarks.masks import exact_masks

    with pytest.raises(BenchmarkError, match=f"{program} is given one class"):
        exact_masks(read_exported(exported), program, least)
    of_one_class(exported, [squares()] * (least - 1) + [None] * (5 - least))
    with pytest.raises(BenchmarkError, match=f"exact masks: {least - 1}; {program} needs {least} or more"):
        exact_masks(read_exported(exported), program, least)
    of_one_class(exported, [squares()] * least + [None] * (4 - least))
    found = exact_masks(read_exported(exported), program, least)
    assert [ids.max() for _, ids in found] == [3] * least


class FakeCellpose:
    """Stands in for Cellpose: a step takes ``step`` seconds of a clock that stands still otherwise, the start 5 of them."""

    GOOD = (0.0, -1.0)  # thresholds of flow and inside by which objects are found
    MODULES = ("models", "train", "dynamics", "metrics")

    def __init__(self, monkeypatch, step: float):
        self.clock, self.step, self.trained, self.diameters, self.asked, self.steps = 5.0, step, [], [], [], set()
        models, train, dynamics, metrics = (types.ModuleType(f"cellpose.{name}") for name in self.MODULES)
        train._loss_fn_seg = lambda *given: torch.tensor(0.5)
        train.train_seg = self.train_seg
        models.CellposeModel = self.model
        dynamics.resize_and_compute_masks = self.objects
        metrics.average_precision = self.counts
        package = types.ModuleType("cellpose")
        package.train, package.models = train, models
        for module in (package, models, train, dynamics, metrics):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr("benchmarks.cellpose3.__main__.time.process_time", lambda: self.clock)
        monkeypatch.setattr("benchmarks.exported.version", lambda name: "0")

    def model(self, pretrained_model: str | None = None) -> types.SimpleNamespace:
        net = torch.nn.Conv2d(1, 1, 1)
        net.save_model = lambda path: torch.save(net.state_dict(), path)
        if pretrained_model is not None:
            net.load_state_dict(torch.load(pretrained_model, weights_only=True))
        return types.SimpleNamespace(net=net, diam_mean=30.0, diam_labels=60.0, device="cpu", eval=self.eval)

    def train_seg(self, net, images, ids, n_epochs, batch_size, nimg_per_epoch=None, **more):
        self.trained.append({"ids": ids, "epochs": n_epochs, "batch": batch_size, "per": nimg_per_epoch, **more})
        self.clock += 2  # flows
        for _ in range(n_epochs):
            for _ in range(0, nimg_per_epoch or len(images), batch_size):
                net(torch.zeros(1, 1, 1, 1))
                sys.modules["cellpose.train"]._loss_fn_seg(None, None, None)
                self.clock += self.step

    def eval(self, image, channels, diameter, compute_masks=True, **thresholds):
        assert channels == [0, 0]
        self.diameters.append(diameter)
        if not compute_masks:
            return None, [None, "flow", image], None
        self.asked.append(tuple(thresholds.values()))
        ids = np.zeros(image.shape, int)
        ids[5:20, 5:15], ids[5:20, 15:40] = 1, 2
        return ids, None, None

    def objects(self, flow, inside, niter, device, flow_threshold, cellprob_threshold):
        """Two of three objects by the thresholds that fit, one of three by others."""
        self.steps.add(niter)
        return 2 if (flow_threshold, cellprob_threshold) == self.GOOD else 1

    def counts(self, true, found, threshold):
        assert [ids.max() for ids in true] == [3] * len(found), "the images that it learnt from, objects apart"
        hit = np.array([[count] * len(threshold) for count in found])
        return None, hit, hit * 0, 3 - hit


def trained_by(monkeypatch, exported: Path, out: Path, step: float, *arguments: str) -> tuple[FakeCellpose, dict]:
    """What stood in for Cellpose, and ``about.json``."""
    from benchmarks.cellpose3 import __main__ as cellpose

    fake = FakeCellpose(monkeypatch, step)
    out.mkdir()
    cellpose.run(cellpose.parse().parse_args([str(exported), str(out), *arguments]))
    return fake, json.loads((out / "about.json").read_text())


@pytest.mark.parametrize(
    ("step", "steps", "planned"),
    [
        (2.0, 57, 100),  # 120 seconds less 5 of the start and 2 of the flows; the last step ends after the time
        (0.5, 227, 251),
    ],
)
def test_cellpose_ends_with_its_minutes(exported, tmp_path, monkeypatch, step, steps, planned):
    of_one_class(exported, [squares(), squares(), None, np.zeros((64, 80), np.uint8)])
    fake, about = trained_by(monkeypatch, exported, tmp_path / "out", step, "--minutes", "2", "--batch", "2")
    settings = about["settings"]
    assert abs(settings["minutes of training"] - 2) < 0.03
    assert settings["planned"] == planned
    assert settings["epochs of a batch"] == steps
    assert [epoch for epoch, _ in about["curves"]["loss/Cellpose"]] == list(range(1, settings["epochs of a batch"] + 1))
    timed, real = fake.trained
    assert timed["epochs"] < 10
    assert settings["seconds of timing, not counted"] == round(2 + timed["epochs"] * step)
    assert (real["batch"], real["per"], real["min_train_masks"]) == (2, 2, 1)
    # exact masks with objects, the squares that touch apart
    assert [ids.max() for ids in real["ids"]] == [3, 3]
    assert settings["images"] == 2


@pytest.mark.parametrize(
    ("steps", "epochs"), [(1, 100), (86, 100), (100, 115), (200, 225), (300, 325), (301, 346), (2000, 2050)]
)
def test_cellpose_plans_a_few_epochs_more_than_fit(steps, epochs):
    from benchmarks.cellpose3.__main__ import planned

    assert planned(steps * 1.5 + 0.1, 1.5) == epochs


def test_cellpose_without_minutes_takes_epochs_of_all_images(exported, tmp_path, monkeypatch):
    of_one_class(exported, [squares()] * 3 + [None])
    fake, about = trained_by(monkeypatch, exported, tmp_path / "out", 1.0, "--epochs", "4", "--batch", "2")
    assert len(fake.trained) == 1
    assert (fake.trained[0]["epochs"], fake.trained[0]["per"]) == (4, None)
    assert len(about["curves"]["loss/Cellpose"]) == 8
    assert about["settings"]["minutes of training"] == round((5 + 2 + 8) / 60, 2)


@pytest.mark.parametrize(("flag", "diameter", "steps"), [("--rescale", None, 400), ("--no-rescale", 30.0, 200)])
def test_cellpose_sees_pictures_at_the_size_that_it_learnt_from(exported, tmp_path, monkeypatch, flag, diameter, steps):
    of_one_class(exported, [squares()] * 4)
    fake, about = trained_by(monkeypatch, exported, tmp_path / "out", 1.0, "--epochs", "1", flag)
    assert fake.trained[0]["rescale"] == about["settings"]["rescaled by diameter"] == (diameter is None)
    assert set(fake.diameters) == {diameter}
    assert fake.steps == {steps}
    found = np.asarray(Image.open(next((tmp_path / "out" / "predictions").iterdir())))
    assert found.shape == (64, 80)
    assert (found[5:20, 14:16] == 2).all()
    assert (found[5:20, 5:14] == 1).all()


@pytest.mark.parametrize("good", [(0.0, -1.0), (0.4, 2.0), (0.4, 0.0), None])
def test_cellpose_chooses_its_thresholds_on_what_it_learnt_from(exported, tmp_path, monkeypatch, good):
    of_one_class(exported, [squares()] * 4)
    monkeypatch.setattr(FakeCellpose, "GOOD", good)
    fake, about = trained_by(monkeypatch, exported, tmp_path / "out", 1.0, "--epochs", "1")
    chosen = good or (0.4, 0.0)  # Cellpose's own, where all are alike
    assert set(fake.asked) == {chosen}
    assert (about["settings"]["flow_threshold"], about["settings"]["cellprob_threshold"]) == chosen


def test_cellpose_wants_objects(exported, tmp_path, monkeypatch):
    from benchmarks.exported import BenchmarkError

    of_one_class(exported, [np.zeros((64, 80), np.uint8)] * 4)
    with pytest.raises(BenchmarkError, match="no exact mask holds an object"):
        trained_by(monkeypatch, exported, tmp_path / "out", 1.0)


# ------------------------------------------------------------------------------------------------ how fast they are


def test_a_clock_adds_up_the_stages():
    from benchmarks.serving import Clock

    clock = Clock()
    for stage, loops in (("network", 1), ("objects", 100_000), ("network", 300_000)):
        with clock(stage):
            sum(range(loops))
    assert set(clock.stages) == {"network", "objects"}
    assert all(wall > 0 and cpu > 0 for wall, cpu in clock.stages.values())


def test_what_is_timed_of_ours_is_what_predict_writes(tmp_path, monkeypatch):
    """The starter on a built-in picture that is not square, by the command's function and as ``bench others`` runs it."""
    from benchmarks import ours
    from benchmarks.serving import Clock
    from lazylabels_monai.bundle_folder import find_starter
    from lazylabels_monai.data.simulating.microstructures import make_image
    from lazylabels_monai.predicting.folder import predict

    for name in ("late.import_late", "threads.wait_asleep"):  # for a process of its own
        monkeypatch.setattr(f"lazylabels_monai.{name}", lambda: None)
    Image.fromarray(make_image((96, 128), 3)["image"]).save(tmp_path / "a.png")
    predict(tmp_path / "a.png", tmp_path / "out", weights=find_starter(), overrides={"device": "cpu"})
    written = {name: tmp_path / "out" / f"a_{name}" for name in ("instances.tif", "pred.png")}
    clock = Clock()
    objects = ours.load(tmp_path, "objects")(tmp_path / "a.png", clock)
    assert np.array_equal(objects, tifffile.imread(written["instances.tif"]))
    assert objects.max() > 3
    assert set(clock.stages) == {"network", "objects"}
    classes = ours.load(tmp_path, "segmentation")(tmp_path / "a.png", clock)
    assert (classes != np.asarray(Image.open(written["pred.png"]))).mean() < 1e-3  # the shared products, in another order


def asked_by(program: str, variant: str, folder: Path) -> dict:
    """The answer of a program in its own environment to a picture of 96 x 96 pixels; skipped where that was not made."""
    found = next(one for one in others.PROGRAMS if (one.place, one.variant) == (program, variant))
    if found.python is None:
        pytest.skip(f"benchmarks/{program}/.venv is not there: make {found.target}")
    picture = others.make_folder(folder, training=2, side=96, pictures=1)[0]
    taken = others.measure([found], folder, [picture], 1)[found.title]
    assert not taken.failed
    assert taken.first[0] > 0
    return taken.stages[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "variant", "stages"),
    [
        ("random_forest", "forest", {"network"}),
        ("nnunet_ignore", "small, one view", {"network"}),
        ("stardist", "2D_versatile_fluo", {"network", "objects"}),
        ("cellpose3", "cyto3", {"network", "objects"}),
        # Cellpose 4 has 1.2 GB of weights: `bench others` runs it
    ],
)
def test_a_program_answers_from_its_own_environment(program, variant, stages, tmp_path, monkeypatch):
    monkeypatch.setattr(others, "STARTS", 1)
    assert set(asked_by(program, variant, tmp_path)) == stages


# ------------------------------------------------------------------------------------------------ a whole run


def run_program(python: Path, package: str, target: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """A program in its own environment; skipped where that was not made."""
    made = python.is_file() and (python.parents[1] / ".made").is_file()
    if not made:
        pytest.skip(f"{python.parents[1].relative_to(ROOT)} is not there: make {target}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", package, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def forest(*arguments: str | Path) -> subprocess.CompletedProcess:
    options = ("--trees", "10", "--pixels", "100")
    return run_program(FOREST, "benchmarks.random_forest", "benchmark-random-forest", *arguments, *options)


def test_random_forest_learns_and_its_maps_can_be_scored(tiny_data, exported, tmp_path):
    out = tmp_path / "out"
    done = forest(exported, out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["about.json", "predictions", "validation_predictions"]
    about = json.loads((out / "about.json").read_text())
    assert about["versions"] == {"scikit-learn": "1.9.1", "scikit-image": "0.26.0"}
    assert about["settings"]["trees"] == 10
    maps = [np.asarray(Image.open(path)) for path in (out / "predictions").iterdir()]
    assert {array.shape for array in maps} == {(64, 80)}
    assert set(np.unique(maps)) <= {0, 1, 2, 3}

    again = forest(exported, out)
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "--overwrite" in again.stderr
    assert forest(exported, tmp_path / "same").returncode == 0
    for path in (out / "predictions").iterdir():
        assert path.read_bytes() == (tmp_path / "same" / "predictions" / path.name).read_bytes(), "the seed says it all"

    score = [sys.executable, "-m", "lazylabels_monai", "score", str(tiny_data), str(out / "predictions")]
    score += ["--out", str(out), "--tune", str(out / "validation_predictions"), "--interfaces"]
    scored = subprocess.run(score, cwd=ROOT, capture_output=True, text=True, check=False)
    assert scored.returncode == 0, scored.stderr
    found = json.loads((out / "metrics.json").read_text())
    assert found["segmentation"]["dice"]["mean"] > 0.3, "better than by chance"


def test_random_forest_names_what_was_not_exported(tmp_path):
    done = forest(tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "dataset.json" in done.stderr


@pytest.mark.slow
def test_nnunet_plans_learns_and_predicts_by_its_ignore_label(exported, tmp_path):
    options = ("--epochs", "2", "--iterations", "2", "--batch", "2", "--patch", "32", "--widths", "4", "8")
    options += ("--no-mirroring", "--window", "64")
    out = tmp_path / "out"
    done = run_program(NNUNET, "benchmarks.nnunet_ignore", "benchmark-nnunet", exported, out, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["about.json", "nnunet", "predictions", "validation_predictions"]
    about = json.loads((out / "about.json").read_text())
    assert about["versions"]["nnunetv2"] == "2.8.1"
    assert [epoch for epoch, _ in next(iter(about["curves"].values()))] == [1, 2]
    network = next((out / "nnunet").rglob("plans.json"))
    assert json.loads(network.read_text())["configurations"]["2d"]["architecture"]["arch_kwargs"]["features_per_stage"] == [
        4,
        8,
    ]
    maps = [np.asarray(Image.open(path)) for path in (out / "predictions").iterdir()]
    assert {array.shape for array in maps} == {(64, 80)}
    assert set(np.unique(maps)) <= {0, 1, 2, 3}, "the ignore label is never predicted"


@pytest.mark.slow
def test_cellpose_learns_and_its_maps_fit_the_pictures(exported, tmp_path):
    of_one_class(exported, [squares(), squares(), None, None])
    out, options = tmp_path / "out", ("--epochs", "2", "--batch", "2")
    done = run_program(CELLPOSE, "benchmarks.cellpose3", "benchmark-cellpose3", exported, out, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["about.json", "cellpose", "predictions", "validation_predictions"]
    about = json.loads((out / "about.json").read_text())
    assert about["versions"]["cellpose"] == "3.1.1.2"
    assert len(about["curves"]["loss/Cellpose"]) == 2
    assert about["settings"]["images"] == 2
    maps = [np.asarray(Image.open(path)) for path in (out / "predictions").iterdir()]
    assert {array.shape for array in maps} == {(64, 80)}
    assert set(np.unique(maps)) <= {0, 1, 2}
