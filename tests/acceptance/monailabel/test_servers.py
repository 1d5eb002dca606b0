"""What docs/monai-label.md promises, over REST and MONAI Label's own Python client."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from serving import CLASSES, SIZE, expected

from lazylabels_monai.tasks import TASKS

PICTURES = ["image0.png", "slide.tif", "photo.jpg"]


def polygons(xml: str) -> list[tuple[str, np.ndarray]]:
    """Class name and (N, 2) of (x, y) of each polygon in ASAP's format."""
    found = []
    for annotation in ElementTree.fromstring(xml).iter("Annotation"):
        points = [(int(point.get("X")), int(point.get("Y"))) for point in annotation.iter("Coordinate")]
        found.append((annotation.get("Name"), np.array(points)))
    return found


# ---------------------------------------------------------------------------------------------- info and inference


def test_info_of_our_app(ours):
    info = ours.client.info()
    assert list(info["models"]) == ["segmentation", "detection", "separation", "instances"]
    assert [info["models"][task]["labels"] for task in TASKS] == [
        {"air bubble": 1, "ice crystal": 2},
        {"air bubble": 1, "ice crystal": 2},
        {"interface": 1},
    ]
    assert list(info["trainers"]) == ["lazylabels"]
    assert set(info["strategies"]) == {f"{kind}_{task}" for kind in ("next", "uncertainty") for task in TASKS}
    assert info["datastore"]["total"] == 8


def test_info_of_the_stock_app(stock):
    info = stock.client.info()
    assert list(info["models"]) == ["lazylabels"]
    assert list(info["models"]["lazylabels"]["labels"].items())[:2] == [("air bubble", 1), ("ice crystal", 2)]
    assert info["models"]["lazylabels"]["dimension"] == 2
    assert list(info["trainers"]) == ["lazylabels"]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("task", TASKS)
def test_each_task_of_an_upright_picture(ours, weights, task, picture, without_labels):
    result = ours.predict(task, Path(picture).stem)
    assert (result.shape, result.dtype) == (SIZE, np.uint8)
    truth = expected(weights, ours.studies / picture)[task]
    assert len(np.unique(truth)) > 1
    np.testing.assert_array_equal(result, truth)


def test_objects_are_the_classes_parted(ours, weights):
    ids = ours.predict("instances", "image0")
    assert (ids.shape, ids.dtype) == (SIZE, np.uint16)
    assert ids.max() > 1
    classes = expected(weights, ours.studies / "image0.png")["segmentation"]
    assert (classes[ids > 0] > 0).mean() > 0.95  # filled holes apart


def test_the_stock_app_serves_the_segmentation(stock, weights):
    result = stock.predict("lazylabels", "image1")
    assert (result.shape, result.dtype) == (SIZE, np.uint8)
    np.testing.assert_array_equal(result, expected(weights, stock.studies / "image1.png")["segmentation"])
    assert not list(stock.studies.parent.rglob("*_pred.*")) + list(stock.studies.parent.rglob("*_overlay.*"))


# ---------------------------------------------------------------------------------------------- polygons


@pytest.mark.parametrize("picture", ["image0.png", "slide.tif"])  # the stock route takes a TIFF for a whole slide
def test_polygons_for_asap_outline_the_classes(ours, weights, picture):
    answer = ours.post(
        f"/infer/wsi_v2/segmentation?image={Path(picture).stem}&output=asap", data={"wsi": json.dumps({"min_poly_area": 0})}
    )
    assert answer.ok, answer.text
    truth = expected(weights, ours.studies / picture)["segmentation"]
    filled = {name: Image.new("L", SIZE[::-1]) for name in CLASSES}
    for name, points in polygons(answer.text):
        assert (truth[points[:, 1], points[:, 0]] == CLASSES.index(name) + 1).all()
        ImageDraw.Draw(filled[name]).polygon([tuple(point) for point in points.tolist()], fill=1, outline=1)
    for value, name in enumerate(CLASSES, 1):
        parts, _ = ndimage.label(truth == value, np.ones((3, 3)))
        for number, place in enumerate(ndimage.find_objects(parts), 1):
            part = parts[place] == number
            if part.sum() > 8 and min(part.shape) > 1:  # smaller or straight ones are no polygon
                assert np.asarray(filled[name])[place][part].mean() > 0.95


def test_polygons_for_dsa_are_one_for_each_object(ours):
    ids = ours.predict("instances", "image0")
    answer = ours.post("/infer/wsi_v2/instances?image=image0&output=dsa", data={"wsi": json.dumps({"min_poly_area": 0})})
    elements = answer.json()["elements"]
    drawn = []
    for element in elements:
        points = np.array(element["points"])[:, :2]
        (id,) = np.unique(ids[points[:, 1], points[:, 0]])
        drawn.append(int(id))
        assert element["label"]["value"] in CLASSES
    assert set(drawn) == set(np.unique(ids)) - {0}


# ---------------------------------------------------------------------------------------------- labels and strategies


def test_without_labels_each_task_begins_with_the_first_image(without_labels):
    assert without_labels["next"] == dict.fromkeys(TASKS, "image0")


def test_training_without_labels_is_refused_in_one_sentence(without_labels):
    answer = without_labels["train"]
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(
        "no image of the datastore carries a label to train on: save labels under the tags"
    )


def test_labels_lie_under_their_tags(ours, labelled):
    counts = ours.client.info()["datastore"]["label_tags"]
    assert {task: counts[task] for task in TASKS} == {task: len(numbers) for task, numbers in labelled.items()}
    file = ours.client.download_label("image2", "detection")
    kept = (ours.studies / "labels" / "detection" / "image2.png").read_bytes()
    assert Path(file).read_bytes() == kept


def test_the_next_image_is_another_for_each_task(ours, labelled):
    assert [ours.next(f"next_{task}") for task in ("detection", "separation", "segmentation")] == ["image3", "image4", "image1"]
    assert ours.next("next_detection") == "image4"  # image3 was proposed to somebody a moment ago


def test_uncertainty_proposes_images_that_lack_the_label(ours, labelled):
    proposed = [ours.next("uncertainty_separation") for _ in range(4)]
    assert set(proposed) == {"image4", "image5", "slide", "photo"}
    assert ours.post("/activelearning/worst", json={}).status_code == 400


def test_batch_inference_on_a_cpu_keeps_what_was_drawn(ours, labelled):
    answer = ours.post("/batch/infer/detection?images=unlabeled&run_sync=true", json={})
    assert sorted(answer.json()) == ["image3", "image4", "image5", "photo", "slide"]
    file = ours.client.download_label("image3", "predicted_detection")
    np.testing.assert_array_equal(np.asarray(Image.open(file)), ours.predict("detection", "image3"))
    before = (ours.studies / "labels" / "detection" / "image0.png").read_bytes()
    wanted = {"params": json.dumps({"save_label": True, "label_tag": "detection"})}
    answer = ours.post("/infer/detection?image=image0", data=wanted)
    assert answer.status_code == 400
    assert "'image0' has a label under the tag 'detection'" in answer.json()["detail"]
    assert (ours.studies / "labels" / "detection" / "image0.png").read_bytes() == before


def test_a_label_that_does_not_fit_is_named(ours, trained, tmp_path):
    file = tmp_path / "small.png"
    Image.new("L", (8, 8)).save(file)
    ours.client.save_label("photo", str(file), tag="detection")
    answer = ours.post("/train/lazylabels?run_sync=true", json={"max_epochs": 1})
    (ours.studies / "labels" / "detection" / "photo.png").unlink()
    assert answer.status_code == 400, answer.text
    assert "detection/photo.png" in answer.json()["detail"]


def test_a_picture_that_was_replaced_since_its_label_was_saved_is_named(ours, trained):
    picture = ours.studies / "image2.png"
    before = picture.read_bytes()
    picture.write_bytes((ours.studies / "image5.png").read_bytes())
    answer = ours.post("/train/lazylabels?run_sync=true", json={"max_epochs": 1})
    picture.write_bytes(before)
    assert answer.status_code == 400, answer.text
    assert "image2.png' has other pixels than the picture that" in answer.json()["detail"]


def test_an_unknown_image_is_named(ours):
    answer = ours.post("/infer/segmentation?image=elsewhere")
    assert answer.status_code == 400
    assert "image 'elsewhere' is not in the datastore" in answer.json()["detail"]


# ---------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("name", "model"), [("ours", "segmentation"), ("stock", "lazylabels")])
def test_a_training_makes_the_model_that_is_served(servers, trained, weights, name, model):
    server = servers[name]
    assert trained[name]["status"] == "DONE", "\n".join(trained[name]["details"])
    before, now = weights.read_bytes(), server.models / "model.pt"
    assert now.read_bytes() != before
    assert [file.read_bytes() for file in server.models.glob("previous_*/model.pt")] == [before]
    new = expected(now, server.studies / "image5.png")["segmentation"]
    np.testing.assert_array_equal(server.predict(model, "image5"), new)
    assert (new != expected(weights, server.studies / "image5.png")["segmentation"]).any()


def test_our_training_took_each_label_and_validated_on_an_exact_mask(trained, labelled):
    datalist = trained["ours"]["datalist"]
    items = {Path(item["image"]).stem: set(item) - {"image"} for item in datalist["training"] + datalist["validation"]}
    assert items == {f"image{n}": {task for task in TASKS if n in labelled[task]} for n in range(5)}
    (judge,) = datalist["validation"]
    assert "segmentation" in judge


def test_the_next_round_keeps_the_best_between_the_weights_served_and_its_own(ours, trained):
    ours.client.train_start("lazylabels", {"max_epochs": 1})
    told = "\n".join(ours.wait_for_training()["details"])
    assert f"weights between {ours.models / 'model.pt'} (0%) and the best of the training (100%)" in told


def test_without_exact_masks_the_last_weights_go_on_from_those_served(ours, trained, labelled):
    for number in labelled["segmentation"]:
        assert ours.delete(f"/datastore/label?id=image{number}&tag=segmentation").ok
    before = (ours.models / "model.pt").read_bytes()
    answer = ours.post("/train/lazylabels?run_sync=true", json={"max_epochs": 1, "run_id": ""})
    assert answer.ok, answer.text
    datalist = json.loads((ours.models / "training" / "datalist.json").read_text())
    assert datalist["validation"] == []
    assert not [item for item in datalist["training"] if "segmentation" in item]
    now = torch.load(ours.models / "model.pt", weights_only=True)
    (kept,) = [file for file in ours.models.glob("previous_*/model.pt") if file.read_bytes() == before]
    start = torch.load(kept, weights_only=True)
    moved = [(now[key] - start[key]).abs().max().item() for key in now if key.endswith("conv.weight")]
    # two steps of Adam at 2e-4 away from where they were, which no new network is
    assert 0 < max(moved) < 1e-3
    result = ours.predict("detection", "image5")
    np.testing.assert_array_equal(result, expected(ours.models / "model.pt", ours.studies / "image5.png")["detection"])
