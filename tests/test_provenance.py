"""Records of how weights and results were made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.provenance import digest_of_files, made

HEX = re.compile(r"[0-9a-f]{32}")


def test_the_record_says_what_made_it_and_names_no_place():
    found = made(data="x")
    assert {"python", "torch", "monai", "lazylabels-monai"} <= set(found["versions"])
    assert found["data"] == "x"
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", found["commit"])
    text = json.dumps(found)
    assert str(Path(__file__).parents[1]) not in text
    assert str(Path.home()) + "/" not in text


def test_a_digest_is_of_contents_and_their_meaning(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(b"one")
        (tmp_path / name / "2").write_bytes(b"two")
    files = lambda folder: [("image", tmp_path / folder / "1"), ("mask", tmp_path / folder / "2")]  # noqa: E731
    first = digest_of_files(files("a"))
    assert HEX.fullmatch(first)
    assert digest_of_files(files("b")) == first
    assert digest_of_files([("mask", tmp_path / "a" / "1"), ("image", tmp_path / "a" / "2")]) != first
    (tmp_path / "b" / "2").write_bytes(b"tw0")
    assert digest_of_files(files("b")) != first


def test_beside_weights_and_results(trained, tiny_data, tmp_path, bundle):
    record = json.loads((trained / "models" / "training.json").read_text())
    assert HEX.fullmatch(record["made"]["data"])
    assert record["settings"]["seed"] == 0
    # the same data elsewhere
    data = Path(shutil.copytree(tiny_data, tmp_path / "elsewhere"))
    bundle.train(data, tmp_path / "again", max_epochs=1)
    again = json.loads((tmp_path / "again" / "models" / "training.json").read_text())
    assert again["made"]["data"] == record["made"]["data"]
    image = data / "images" / "microstructure_test_000.png"
    predict(image, tmp_path / "out", weights=trained / "models" / "model.pt", overrides={"device": "cpu"})
    lines = [json.loads(line) for line in (tmp_path / "out" / "predicted.jsonl").read_text().splitlines()]
    (stamp,) = [line for line in lines if "weights" in line]
    (run,) = [line for line in lines if "run" in line]
    assert run["run"] == stamp["stamp"]
    assert {"date", "versions", "machine", "commit"} <= set(run)
