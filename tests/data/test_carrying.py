"""What people wrote of the pictures goes along, whichever command makes the data set again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.data.proposals import propose_dataset
from lazylabels_monai.data.simulating.simulate import simulate
from lazylabels_monai.data.simulating.synthetic import make_dataset, make_volume_dataset
from tests.labels.scenes import marked_set

SHAPE = (40, 56)
HAND = {"id": "sample 7", "pixel_size": "120 nm"}


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def exact_labels(root: Path, names: Sequence[str] = "abcde") -> Path:
    for number, name in enumerate(names):
        ids = np.zeros(SHAPE, np.uint8)
        ids[3 + number : 18, 4:18], ids[3 + number : 18, 18:30] = 1, 2
        save(root / f"images/{name}.png", np.random.default_rng(number).integers(0, 255, SHAPE).astype(np.uint8))
        save(root / f"masks/{name}.png", ids)
    return root


def built(tmp_path: Path, out: Path) -> Sequence[str]:
    if not (tmp_path / "src").is_dir():
        exact_labels(tmp_path / "src")
    return build_datalist(tmp_path / "src", out, BuildOptions(overwrite=True, classes=["a"])).notes


def simulated(tmp_path: Path, out: Path) -> Sequence[str]:
    if not (tmp_path / "src").is_dir():
        exact_labels(tmp_path / "src" / "train")
    return simulate(tmp_path / "src", out, strong=2, overwrite=True, validation=1, test=1)["notes"]


def synthetic(tmp_path: Path, out: Path) -> Sequence[str]:
    return make_dataset(out, 3, 1, 1, (64, 64), 1, 2, 2, overwrite=True)["notes"]


def synthetic_volumes(tmp_path: Path, out: Path) -> Sequence[str]:
    return make_volume_dataset(out, overwrite=True)["notes"]


def proposed(tmp_path: Path, out: Path) -> Sequence[str]:
    if not (tmp_path / "src").is_dir():
        data = marked_set(tmp_path / "src")
        content = json.loads((data / "datalist.json").read_text())
        for item in (*content["training"], *content["validation"]):
            del item["id"]
        (data / "datalist.json").write_text(json.dumps(content))
    return propose_dataset(tmp_path / "src", out, overwrite=True).notes


COMMANDS = [built, simulated, synthetic, synthetic_volumes, proposed]


def items(out: Path) -> list[dict]:
    content = json.loads((out / "datalist.json").read_text())
    return [item for section in ("training", "validation", "testing") for item in content.get(section, [])]


def edit(out: Path, change: Callable[[dict], object]) -> None:
    content = json.loads((out / "datalist.json").read_text())
    for section in ("training", "validation", "testing"):
        for item in content.get(section, []):
            change(item)
    (out / "datalist.json").write_text(json.dumps(content))


def by_hand(out: Path) -> dict[str, Mapping[str, str]]:
    return {item["image"]: {key: item[key] for key in HAND if key in item} for item in items(out)}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_people_wrote_goes_along(command, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        assert not [note for note in command(tmp_path, out) if "pixel_size" in note]
    first, last = items(out)[0]["image"], items(out)[-1]["image"]
    edit(out, lambda item: item.update(HAND if item["image"] == first else {}))
    edit(out, lambda item: item.update({"pixel_size": 0.5} if item["image"] == last else {}))
    before, count = by_hand(out), sum(item["image"] in (first, last) for item in items(out))
    (said,) = [note for note in command(tmp_path, out) if "pixel_size" in note]
    assert by_hand(out) == before
    assert said.startswith(f"the id and the pixel_size of {count} images kept from '{out / 'datalist.json'}' (by content")


@pytest.mark.parametrize("command", [built, proposed])
def test_what_the_data_set_says_of_which_another_is_made_counts_and_that_is_told(command, tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    if command is built:
        build_datalist(exact_labels(tmp_path / "labels"), source, BuildOptions(classes=["a"]))
    else:
        proposed(tmp_path, tmp_path / "first")
    edit(source, lambda item: item.update(id=Path(item["image"]).stem, pixel_size=0.5))
    command(tmp_path, out)
    assert not [note for note in command(tmp_path, out) if "pixel_size" in note]
    first = items(out)[0]["image"]
    edit(out, lambda item: item.update(pixel_size=0.25 if item["image"] == first else 0.5))
    (said,) = [note for note in command(tmp_path, out) if "pixel_size" in note]
    assert said == (
        f"the pixel_size of 1 image in '{out / 'datalist.json'}' not kept, as the data set that this one is made of says "
        f"another: write it there, too, if it holds for '{first}'."
    )
    assert {found["pixel_size"] for found in by_hand(out).values()} == {0.5}


@pytest.mark.parametrize("command", [built, simulated])
def test_what_people_wrote_of_pixels_that_are_gone_is_told(command, tmp_path):
    out = tmp_path / "out"
    command(tmp_path, out)
    edit(out, lambda item: item.update(HAND if Path(item["image"]).stem == "a" else {}))
    (source,) = (tmp_path / "src").rglob("images/a.png")
    save(source, np.zeros(SHAPE, np.uint8))
    (said,) = [note for note in command(tmp_path, out) if "pixel_size" in note]
    assert "not kept, as no image of the data set has the same pixels now: write again what holds for 'images/a.png'" in said
    assert not any(by_hand(out).values())


def test_renamed_pictures_of_a_source_keep_what_people_wrote_of_them(tmp_path):
    out = tmp_path / "out"
    simulated(tmp_path, out)
    edit(out, lambda item: item.update(id=Path(item["image"]).stem))
    for folder in ("images", "masks"):
        (tmp_path / "src/train" / folder / "a.png").rename(tmp_path / "src/train" / folder / "z.png")
    simulated(tmp_path, out)
    assert {Path(name).stem: found["id"] for name, found in by_hand(out).items()} == {**{n: n for n in "bcde"}, "z": "a"}
