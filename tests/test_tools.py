"""The tools that try what takes minutes, at the size of seconds."""

from __future__ import annotations

import importlib
import json
import random
import time

import pytest
from PIL import Image

from lazylabels_monai.experiments.spec import ExperimentError
from tests.helpers import ROOT
from tools import bad_input, fuzz_annotations, licences, load, memory, side_by_side, strange_names


def test_checkpoints_do_not_pile_up(tmp_path, capsys):
    load.checkpoints(tmp_path, 12)
    assert "12 written, 2 left (model_epoch=11.pt, model_epoch=12.pt)" in capsys.readouterr().out


def test_memory_and_open_files_are_counted(tmp_path, capsys):
    load.images(tmp_path, 6)
    assert "images: 6 of 6 done, 0 refused" in capsys.readouterr().out


def test_memory_of_a_prediction(tmp_path, capsys):
    Image.fromarray(memory.picture(80, 90)).save(tmp_path / "a.png")
    memory.child(str(tmp_path / "a.png"), str(memory.weights(tmp_path)), str(tmp_path / "out"))
    assert 50 < json.loads(capsys.readouterr().out.splitlines()[-1])["peak"] < 50_000


def test_a_strange_name_runs_nothing(tmp_path, monkeypatch, tiny_data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    found = strange_names.calls(strange_names.NAMES[0], tiny_data, memory.weights(tmp_path / "models"))
    assert [next(found) for _ in range(1)] == [("predict", "ok")]
    assert list(tmp_path.rglob("RUN")) == []


def test_licences_of_what_is_required():
    packages = {package.metadata["Name"]: licences.licence(package) for package in licences.closure(["pyyaml", "pillow"])}
    assert packages["PyYAML"].startswith("MIT")
    assert "not stated" not in packages.values()


def test_damaged_files_meet_every_command_in_turn():
    met = []

    class Bench:
        def __getattr__(self, name):
            return lambda *arguments: met.append((name, *arguments[-1:]))

    for job in bad_input.jobs(Bench(), ["readers", "pictures", "sets", "folders", "annotations", "datalists"], 9, seed=0):
        next(job)
    commands = [(name, command) for name, (command, *_) in met if name != "read"]
    assert len(met) - len(commands) == 3
    for name in ("tune", "training", "evaluating", "data set inferring"):
        assert commands.count(("picture_in_a_data_set", name)) == 2 * bad_input.SLOW_FILES
        assert commands.count(("datalist", name)) == bad_input.SLOW_FILES
    everything = set(bad_input.PREDICTING) | set(bad_input.ON_DATALISTS) | set(bad_input.ON_ANNOTATIONS)
    assert {command for _, command in commands} == everything | set(bad_input.LAYOUTS)


def test_annotations_changed_inside_are_a_result_or_a_sentence(tmp_path):
    chosen, rng, counted = fuzz_annotations.whole(), random.Random(0), []
    assert {data[0] for data in chosen} == set(range(len(fuzz_annotations.KINDS)))
    for data in chosen + [
        data[:1] + fuzz_annotations.changed(data[1:], rng, lambda body: bad_input.damaged(body, rng)) for data in 4 * chosen
    ]:
        kind, what, where, said = fuzz_annotations.outcome(data, tmp_path)
        assert what != "fault", (kind, where, said)
        counted.append(what)
    assert min(counted.count("result"), counted.count("sentence")) > 10


def test_runs_side_by_side_are_done_once_and_end_with_their_time(tmp_path, monkeypatch, capsys):
    def carry_out(run: str, section: str, places: None) -> int:
        with (tmp_path / run).open("a") as file:
            file.write(section)
        time.sleep(60 if run == "long" else 0)
        return 0

    monkeypatch.setattr(side_by_side, "carry_out", carry_out)
    runs = [("a", "testing"), ("b", "validation"), ("c", "testing")]
    side_by_side.side_by_side(runs, None, jobs=2, seconds=60)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict(runs)
    assert capsys.readouterr().out == ""
    side_by_side.side_by_side([("long", "testing"), ("never", "testing")], None, jobs=1, seconds=0.5)
    assert capsys.readouterr().out == "stopped: 1 runs were at it, 1 had not begun\n"
    assert not (tmp_path / "never").exists()


def test_a_command_in_a_fork_that_fails_is_a_sentence(tmp_path):
    side_by_side.forked_call(["-m", "platform"], tmp_path / "log")
    assert (tmp_path / "log").read_text().strip()
    with pytest.raises(ExperimentError, match=r"log ends with: ."):
        side_by_side.forked_call(["-m", "no_such_module"], tmp_path / "log")


def test_resumed_trainings_are_judged_as_soon_as_they_have_ended(monkeypatch, tmp_path):
    """Of chains that run side by side each one's number comes once, at its end; what is known by then is in the file."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    for name in ("PYTORCH_NVML_BASED_CUDA_CHECK", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # what the tool would set stays in the test
    gpu_resume = importlib.import_module("gpu_resume")
    begun: list[str] = []

    class Training:
        def __init__(self, name: str, looks: int) -> None:
            self.name, self.left = name, looks

        def start(self) -> None:
            begun.append(self.name)

        def ended(self, limit: float) -> bool:
            self.left -= 1
            return self.left < 0

    chains = [iter([Training("a", 3), Training("b", 3)]), iter([Training("c", 1)]), iter([Training("d", 0)])]
    assert list(gpu_resume.run_all(chains, 2, 9.0)) == [1, 2, 0]
    assert begun == ["a", "c", "d", "b"]
    file = tmp_path / "resume.json"
    gpu_resume._write(file, {"x": {"verdicts": {"resumed": "PASS"}, "faults": []}}, 2)
    assert json.loads(file.read_text())["whole"] is False
    gpu_resume._write(file, {}, 2, "a GPU")
    assert json.loads(file.read_text())["device"] == "a GPU"
