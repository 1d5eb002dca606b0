"""What ``inferring`` leaves beside its results."""

from __future__ import annotations

import shutil

import pytest
import tifffile
import torch

from lazylabels_monai.errors import user_error
from lazylabels_monai.result_files import predicted_stems
from lazylabels_monai.stamps import Records, require_one_stamp


def test_inferring_leaves_its_stamp_and_mixes_nothing(bundle, tiny_data, trained, tmp_path):
    models, out = tmp_path / "models", tmp_path / "out"
    shutil.copytree(trained.parent, models)
    images = sorted((tiny_data / "images").glob("*test*.png"))
    infer = lambda data, **given: bundle.infer(data, out, ckpt_dir=str(models), dropout=0.2, **given)  # noqa: E731
    infer(images[0])
    first, unknown = require_one_stamp(out)
    assert first.settings["classes"] == ["air bubble", "ice crystal"]
    assert unknown == []
    record = Records(out).images[images[0].stem]
    assert record.same_image(images[0])
    assert record.same_place(images[0], out)
    infer(images[1])
    assert require_one_stamp(out) == (first, [])
    state = torch.load(models / "model.pt", weights_only=True)
    torch.save({name: value * 1.01 for name, value in state.items()}, models / "model.pt")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(RuntimeError) as refused:  # MONAI's, around ours
        infer(images[0])
    words = "results of 'microstructure_test_001' that were made otherwise (weights model.pt"
    assert words in str(user_error(refused.value))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    infer(tiny_data)  # all of them anew
    assert predicted_stems(out) == [path.stem for path in images]
    second, unknown = require_one_stamp(out)
    assert second.weights != first.weights
    assert unknown == []
    assert not list(out.glob(".*"))


def test_inferring_replaces_nothing_that_was_corrected_by_hand(bundle, tiny_data, trained, tmp_path):
    out = tmp_path / "out"
    infer = lambda: bundle.infer(tiny_data, out, ckpt_dir=str(trained.parent), dropout=0.2)  # noqa: E731
    infer()
    infer()
    file = sorted(out.glob("*_instances.tif"))[1]
    tifffile.imwrite(file, 0 * tifffile.imread(file))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(RuntimeError) as refused:  # MONAI's, around ours
        infer()
    assert f"'{file}' was corrected by hand and would be replaced: move it away" in str(user_error(refused.value))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    file.unlink()
    infer()
    assert file.is_file()


def test_an_inferring_that_is_killed_leaves_no_record_that_lies(bundle, tiny_data, trained, tmp_path, monkeypatch):
    out = tmp_path / "out"
    infer = lambda **given: bundle.infer(tiny_data, out, ckpt_dir=str(trained.parent), **given)  # noqa: E731
    infer()
    first = require_one_stamp(out)[0]

    def killed(handler, engine):
        raise KeyboardInterrupt

    monkeypatch.setattr("lazylabels_monai.predicting.stamping.RecordsHandler._record", killed)
    with pytest.raises(KeyboardInterrupt):
        infer(mirroring=True)
    by_stamp = Records(out).by_stamp(predicted_stems(out))
    assert by_stamp == {None: ["microstructure_test_000"], first.id: ["microstructure_test_001"]}
