"""The stages of ``benchmarks/gpu.sh``, in miniature on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from lazylabels_monai.bench import gpu_stages
from lazylabels_monai.bench.gpu import section
from lazylabels_monai.bench.gpu_stages import NEEDED, Record, main, missing
from lazylabels_monai.networks import MultiTaskUNet
from tests.helpers import ROOT


@pytest.fixture
def stage(tiny_data, tmp_path, monkeypatch):
    """Runs one and gives its record."""
    hook, path = sys.excepthook, list(sys.path)
    settings = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark

    def run(name: str) -> dict:
        monkeypatch.setattr(gpu_stages, "_BEGAN", gpu_stages.time.monotonic())
        options = ["--data", str(tiny_data), "--device", "cpu", "--seconds", "0.2", "--quick"]
        assert main([name, str(tmp_path), *options]) == 0
        return json.loads((tmp_path / f"{name}.json").read_text())

    yield run
    sys.excepthook, sys.path[:] = hook, path
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = settings


def test_peak_and_prediction(stage, tmp_path):
    found = stage("peak")
    assert min(found["flops"].values()) > 0
    assert found["bytes"] > 0
    found = stage("prediction")
    assert [(way["precision"], way["batch"]) for way in found["ways"]] == [
        (precision, batch) for precision in ("bfloat16", "float32") for batch in (2, 8, 2)
    ]
    # windows of 64 on 96 pixels, half overlapping: two by two
    assert [way["windows"] for way in found["ways"]] == [4, 4, None] * 2
    assert f"| float32 | 2 | three tasks | {96 * 96 / found['ways'][3]['seconds'] / 1e6:.2f} |" in section(folder=tmp_path)


def test_training_steps_and_the_training_as_it_runs(stage, tmp_path):
    found = stage("training")
    assert set(found["steps"]) == {"float32", "bfloat16"}  # float16 is of no use on a CPU
    assert (found["batch"], found["crop"], found["channels"]) == (4, [32, 32], [4, 8, 8])
    (loop,) = found["loops"]
    assert loop["steps"] % 2 == 0  # whole epochs of two steps
    assert 0 < loop["waiting"] < 1
    assert loop["step"] > 0
    assert found["whole"] is True
    assert "| float32, 0 loader workers |" in section(folder=tmp_path)


def test_a_training_ends_by_the_clock_and_is_scored(stage, tmp_path):
    found = stage("score")
    assert found["score"]["images"] == 2
    assert 0 <= found["score"]["segmentation"]["dice"]["mean"] <= 1
    assert found["curve"][0][1] == 1  # validated after the first epoch
    assert found["steps"] >= 2
    assert "| 2 | " in section(folder=tmp_path)


def test_multiplications_are_those_of_the_convolutions():
    """Of Eq. 4 with one level: counted by hand."""
    network = MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1)
    images = torch.zeros(2, 1, 16, 16)
    kinds = (torch.nn.Conv2d,)
    # how often each convolution runs, and on how many pixels: the plain layers say it themselves
    seen: list[int] = []

    def count(module, given, made):
        seen.append(2 * module.weight[0].numel() * made.numel())

    from lazylabels_monai.networks.quick import plainly

    handles = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, kinds)]
    with plainly(), torch.no_grad():
        network.eval()(images)
    for handle in handles:
        handle.remove()
    assert gpu_stages._flops(network, images) == sum(seen)
    assert gpu_stages._flops(network, images, back=True) > 2.5 * sum(seen)
    assert next(network.parameters()).device.type == "cpu"


def test_what_is_missing_is_named_before_anything_is_imported(tmp_path, capsys, monkeypatch):
    assert missing() == []
    assert missing(["json", "no_such_package"]) == ["no_such_package"]
    monkeypatch.setitem(NEEDED, "no_such_module", "no-such-package")
    monkeypatch.setattr(gpu_stages, "missing", lambda: missing(tuple(NEEDED)))
    monkeypatch.setattr(gpu_stages, "import_module", lambda name: pytest.fail("something was imported"))
    assert main(["imports", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "no-such-package: name them in benchmarks/gpu-wheels.txt" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_one_sentence(tmp_path, capsys):
    assert main(["peak", str(tmp_path / "out")]) == 2
    assert "sees no GPU here" in capsys.readouterr().out


def test_a_record_holds_what_there_is_so_far(tmp_path):
    record = Record(tmp_path / "a.json", device="b")
    record.add(one=1)
    assert json.loads((tmp_path / "a.json").read_text()) == {"device": "b", "one": 1}
    record.add(two=[2])
    assert json.loads((tmp_path / "a.json").read_text()) == {"device": "b", "one": 1, "two": [2]}


def script(tmp_path, python: str, **variables: str) -> subprocess.CompletedProcess:
    given = {**os.environ, "PYTHON": python, "DEVICE": "cpu", "QUICK": "1", "OMP_NUM_THREADS": "1", **variables}
    command = ["bash", str(ROOT / "benchmarks" / "gpu.sh"), str(tmp_path / "out"), str(tmp_path / "carry")]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)


def test_the_script_runs_its_stages_and_keeps_what_it_has(tmp_path, python, tiny_data):
    done = script(tmp_path, python, DATA=str(tiny_data), STAGES="ready peak")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    stages = {f"{stage}.json" for stage in ("imports", "ready", "peak")}
    assert names == {*stages, "log.txt", "gpu.md"}
    text = (tmp_path / "out" / "gpu.md").read_text()
    assert "these figures say nothing" in text
    assert "training: not run." in text
    assert text in done.stdout


def test_the_script_stops_at_its_limit(tmp_path, python, tiny_data):
    done = script(tmp_path, python, DATA=str(tiny_data), STAGES="peak", LIMIT="4")
    assert done.returncode == 1
    assert "imports: no time left" in done.stdout
    assert done.stdout.rstrip().endswith("s in all")


def test_the_script_ends_at_once_where_something_is_missing(tmp_path, tiny_data):
    """Without site packages nothing that is carried is there."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    done = script(tmp_path, str(bare), DATA=str(tiny_data))
    assert done.returncode == 1
    assert "missing here: torch, numpy" in done.stdout
    assert not (tmp_path / "out" / "imports.json").exists()
    done = script(tmp_path, str(bare), DATA=str(tiny_data), STAGES="other")
    assert "== other" not in done.stdout


def test_wheels_are_pinned():
    lines = [line.partition("#")[0].strip() for line in (ROOT / "benchmarks" / "gpu-wheels.txt").read_text().splitlines()]
    assert all("==" in line for line in lines if line)
    carried = {line.partition("==")[0] for line in lines if line}
    assert carried <= {other or name for name, other in NEEDED.items()}
