"""The same seed on the same machine gives the same bytes: trainings, evaluations and every command that draws numbers, twice.

    python tools/same_answer.py            # 8 trainings and what is random besides, some minutes
    python tools/same_answer.py --quick    # 2 trainings

Each runs twice, in processes of their own; weights are compared tensor by tensor, other files byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--channels", "[4,8]", "--num_multitask_blocks", "1", "--crop_size", "[32,32]", "--device", "cpu"]
TRAINING = ["--crops_per_epoch", "16", "--batch_size", "4", "--max_epochs", "3", "--val_interval", "1", "--affine_prob", "1.0"]
#: What differs from run to run and is no answer: times of day and of work.
TIMES = ("date", "minutes", "seconds", "made")


def call(arguments: Sequence[str], folder: Path, threads: int = 1) -> None:
    """Run a command of this package."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "lazylabels_monai", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def tensors(file: Path) -> str:
    """Digest of weights."""
    import torch

    whole = hashlib.sha256()
    for name, value in torch.load(file, map_location="cpu", weights_only=True).items():
        whole.update(name.encode() + value.numpy().tobytes())
    return whole.hexdigest()


def folder_digest(folder: Path) -> str:
    """Digest of the files of a folder; of JSON without times."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.suffix == ".json":
            content = json.dumps(_untimed(json.loads(content))).encode()
        whole.update(file.relative_to(folder).as_posix().encode() + content)
    return whole.hexdigest()


def _untimed(value: object) -> object:
    if isinstance(value, dict):
        return {name: _untimed(each) for name, each in value.items() if name not in TIMES}
    return [_untimed(each) for each in value] if isinstance(value, list) else value


def trained(place: Path, name: str, workers: int, threads: int) -> tuple[str, str]:
    """Digests of the weights and of the scores of a training."""
    more = [*SMALL, "--num_workers", str(workers)]
    call(["train", "set", "--preset", "cpu", "--output", name, *TRAINING, *more, "--seed", "3"], place, threads)
    call(["evaluate", "set", "--preset", "cpu", "--output", name, *more], place, threads)
    scores = (place / name / "metrics.json").read_bytes() + (place / name / "metrics.csv").read_bytes()
    return tensors(place / name / "models" / "model.pt"), hashlib.sha256(scores).hexdigest()


def main() -> None:
    """Print what is the same and what is not; the exit code is 1 where something is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    same: list[bool] = []

    def say(what: str, first: object, second: object) -> None:
        same.append(first == second)
        print(f"{'same' if same[-1] else 'DIFFERENT'}: {what}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = ["--train", "4", "--validation", "2", "--test", "2", "--height", "64", "--width", "80"]
        marks = ["--strong", "1", "--detection", "3", "--separation", "4"]
        for name in ("set", "set2"):
            call(["synthetic", name, *sizes, *marks, "--seed", "5"], place)
        say("synthetic --seed 5", folder_digest(place / "set"), folder_digest(place / "set2"))
        found = {}
        for workers, threads in [(0, 1)] if quick else [(0, 1), (2, 1), (0, 2), (2, 2)]:
            runs = [trained(place, f"t{workers}{threads}{n}", workers, threads) for n in range(2)]
            found[workers, threads] = runs[0]
            for part, what in enumerate(("weights", "scores")):
                say(f"{what}, {workers} workers, {threads} threads", runs[0][part], runs[1][part])
        for (workers, threads), weights in list(found.items())[1:]:
            equal = "the same" if weights == found[0, 1] else "other"
            print(f"for knowledge: {workers} workers and {threads} threads give {equal} weights than 0 workers and 1 thread")
        if not quick:
            models = place / "t010" / "models" / "model.pt"
            commands = {
                "predict --uncertainty": ["predict", "set/images", "--uncertainty", "--weights", str(models), "--out"],
            }
            for name, arguments in commands.items():
                outs = [f"out{n}{len(name)}" for n in range(2)]
                for out in outs:
                    call([*arguments, out], place)
                    (place / out / "predicted.jsonl").unlink()  # times of files
                say(name, *(folder_digest(place / out) for out in outs))
            for n in range(2):
                call(["measure", "out021", f"m{n}", "--pixel-size", "1um", "--seed", "4"], place)
            say("measure --seed 4", *(folder_digest(place / f"m{n}") for n in range(2)))
    print(f"{sum(same)} of {len(same)} are the same")
    raise SystemExit(0 if all(same) else 1)


if __name__ == "__main__":
    main()
