"""Part ``gpu`` of ``lazylabels bench``: the tables of what ``benchmarks/gpu.sh`` left in a folder. Nothing is measured here.

Standard library alone, so that the machine with the GPU can make them too: ``python -m lazylabels_monai.bench.gpu FOLDER``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["read_records", "section"]

#: What the page says until there are figures.
#: The stages with figures, in their order.
FIGURES = ("peak", "training", "prediction", "score", "resume")
#: The product of matrices that a precision of the network is compared with: convolutions in float32 may use TF32.
_PEAK_OF = {"float32": "TF32", "float16, fastest kernels": "float16"}


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """What each stage wrote, by its name; stages that wrote nothing are left out.

    Raises:
        LazyLabelsError: where nothing with figures lies there, or a file is not whole.
    """
    records = {}
    for stage in ("imports", "ready", *FIGURES):
        file = Path(folder, f"{stage}.json")
        if file.is_file():
            try:
                records[stage] = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise LazyLabelsError(f"{file} is no whole record: run benchmarks/gpu.sh again, or remove the file.") from error
    if not set(records) & set(FIGURES):
        raise LazyLabelsError(f"{folder} holds no figures of a GPU: name the folder that benchmarks/gpu.sh wrote into.")
    return records


def section(repeats: int = 5, folder: Path | None = None) -> str:
    """Markdown for docs/performance.md.

    Args:
        repeats: of no meaning here; for the other parts.
        folder: of the records.

    Raises:
        LazyLabelsError: without a folder, or where it holds no records.
    """
    if folder is None:
        raise LazyLabelsError(
            "bench gpu: benchmarks/gpu.sh measures on a machine with a GPU; name its folder by --from FOLDER."
        )
    records = read_records(folder)
    known: dict[str, Any] = {}
    for record in records.values():
        known = {**record, **known}
    machine = [known["date"], known.get("device") or "unknown device", f"{known.get('cores', '?')} CPU cores"]
    lines = [f"`benchmarks/gpu.sh`, {', '.join(machine)}, {known.get('versions', 'versions unknown')}."]
    if any(record.get("quick") for record in records.values()):
        lines += ["**A rehearsal at tiny sizes: these figures say nothing.**"]
    for stage in FIGURES:
        record = records.get(stage)
        lines.append("")
        if record is None:
            lines.append(f"{stage}: not run.")
            continue
        lines += _TABLES[stage](record, records.get("peak", {}).get("flops", {}))
        if not record.get("whole"):
            lines.append(f"\n{stage}: stopped before its end; what it had until then stands here.")
    return "\n".join([*lines, "", *_targets(records)])


def _share(flops: float, precision: str, peaks: Mapping[str, float]) -> str:
    peak = peaks.get(_PEAK_OF.get(precision, precision))
    return f"{100 * flops / peak:.0f} %" if peak else "-"


def _gib(memory: float | None) -> str:
    return f"{memory / 2**30:.1f}" if memory else "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _peak(record: Mapping[str, Any], peaks: Mapping[str, float]) -> list[str]:
    listed = ", ".join(f"{name} {flops / 1e12:.1f}" for name, flops in record.get("flops", {}).items())
    size = record.get("size")
    lines = [f"Peak, by products of two {size} x {size} matrices of random numbers, in TFLOP/s: {listed}."]
    if "bytes" in record:
        lines.append(f"A copy moves {record['bytes'] / 1e12:.2f} TB/s, read and written.")
    return lines


def _training(record: Mapping[str, Any], peaks: Mapping[str, float]) -> list[str]:
    if "step_flops" not in record:
        return []
    widths, crop = ", ".join(map(str, record["channels"])), " x ".join(map(str, record["crop"]))
    batch, flops = record["batch"], record["step_flops"]
    lines = [
        f"Training with `configs/paper.yaml`: widths {widths}, batches of {batch} crops of {crop}.",
        f"Forward and backward are {flops / 1e12:.2f} TFLOP a step (Eq. 4 as PyTorch's own layers count it). One batch that",
        "lies on the GPU, medians; kernels are deterministic ones, as in a training, unless said.",
        "",
        "| a step in | ms | img/s | TFLOP/s | of the peak | memory [GiB] |",
        "|---|---|---|---|---|---|",
    ]
    for name, step in record.get("steps", {}).items():
        took, reached = step["seconds"], flops / step["seconds"]
        lines.append(
            f"| {name} | {1e3 * took:.1f} | {batch / took:.1f} | {reached / 1e12:.1f} | {_share(reached, name, peaks)} | "
            f"{_gib(step.get('memory'))} |"
        )
    lines += [
        "",
        "The same as it runs, with its crops, handlers and checkpoints, whole epochs after the first. *Busy*: seconds of the",
        "GPU's kernels in a step, by the profiler, of the seconds of a step without it.",
        "",
        "| a training with | img/s | waits for data | GPU busy |",
        "|---|---|---|---|",
    ]
    for loop in record.get("loops", []):
        kind = "mixed precision" if loop["amp"] else "float32"
        speed = f"{batch / loop['step']:.1f}"
        name = f"{kind}, {loop['workers']} loader workers"
        lines.append(f"| {name} | {speed} | {_percent(loop['waiting'])} | {_percent(loop['busy'])} |")
    return lines


def _prediction(record: Mapping[str, Any], peaks: Mapping[str, float]) -> list[str]:
    if "window_flops" not in record:
        return []
    (height, width), window = record["picture"], record["window"]
    lines = [
        f"Prediction of a picture of {height} x {width} pixels that lies on the GPU, in windows of {window[0]}, overlap 0.5,",
        "with the network of `lazylabels train` on a GPU; medians.",
        "",
        "| precision | windows at a time | asked for | Mpixel/s | TFLOP/s | of the peak | memory [GiB] |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in record.get("ways", []):
        speed = height * width / way["seconds"] / 1e6
        cells = "- | -"
        if way["windows"]:
            reached = way["windows"] * record["window_flops"] / way["seconds"]
            cells = f"{reached / 1e12:.1f} | {_share(reached, way['precision'], peaks)}"
        lines.append(
            f"| {way['precision']} | {way['batch']} | {way['asked']} | {speed:.2f} | {cells} | {_gib(way.get('memory'))} |"
        )
    return lines


def _score(record: Mapping[str, Any], peaks: Mapping[str, float]) -> list[str]:
    lines = []
    if {"seconds", "steps", "epochs", "batch"} <= set(record):
        crops = record["steps"] * record["batch"]
        lines.append(
            f"A training from nothing with the settings of `lazylabels train` on a GPU, {record['seconds']:.0f} s with\n"
            f"start and validation: {record['epochs']} epochs, {record['steps']} steps, {crops} crops."
        )
    if curve := record.get("curve"):
        best = max(curve, key=lambda entry: entry[2])
        lines.append(f"Best `{record['curve_of']}` on the way: {best[2]:.4f} after {best[0]:.0f} s (epoch {best[1]:.0f}).")
    if found := record.get("score"):
        objects, interfaces = found.get("objects", {}), found.get("separation", {})
        cells = [
            found["segmentation"]["dice"]["mean"],
            objects.get("f1@0.5"),
            interfaces.get("precision"),
            interfaces.get("recall"),
        ]
        lines += [
            "",
            "| test images | Dice | object F1 | interface precision | recall |",
            "|---|---|---|---|---|",
            f"| {found['images']} | {' | '.join('-' if value is None else f'{value:.3f}' for value in cells)} |",
        ]
    return lines


def _resume(record: Mapping[str, Any], peaks: Mapping[str, float]) -> list[str]:
    """Of ``tools/gpu_resume.py --write``."""
    rows = record.get("cases", {})
    if not rows:
        return []
    titles = list(next(iter(rows.values()))["verdicts"])
    faults = sum(len(row["faults"]) for row in rows.values())
    return [
        f"Trainings that were stopped and resumed (`tools/gpu_resume.py`): {len(rows)} of {record['planned']} cases, "
        f"{faults} faults.",
        "",
        f"| case | {' | '.join(titles)} |",
        f"|---|{'---|' * len(titles)}",
        *(f"| {name} | {' | '.join(row['verdicts'][title] for title in titles)} |" for name, row in rows.items()),
    ]


_TABLES = {"peak": _peak, "training": _training, "prediction": _prediction, "score": _score, "resume": _resume}


def _targets(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    loops = records.get("training", {}).get("loops", [])
    waits = "; ".join(f"{_percent(loop['waiting'])} with {loop['workers']} workers" for loop in loops) or "not run"
    return [
        "| target | reached | what holds it back |",
        "|---|---|---|",
        f"| a step waits for its data less than 5 % of its time, GPU | {waits} | crops are made on the CPU |",
    ]


if __name__ == "__main__":
    print(section(folder=Path(sys.argv[1])))
