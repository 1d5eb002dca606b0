"""What weights know of data sets before any training: their mean Dice on exact masks alone, and on inner regions as well.

    for k in 0 1 2 3 4 5; do
      lazylabels simulate DATA/emps/train sets/emps_$k --seed $k --scale 0.5 --classes particle --subset train=5 \\
        --validation 1 --strong 1 --detection all
      lazylabels simulate DATA/glas/train sets/glas_$k --seed $k --scale 0.5 --gap 4 --classes gland --subset train=5 \\
        --validation 1 --strong 1 --detection all
    done
    python tools/known_before.py sets/emps_* --weights outputs/starter/without_emps.pt
    python tools/known_before.py sets/glas_* --overlay configs/glas.yaml

Of at most 16 images. The second figure is what a training with ``fine_tuning_from`` goes by (docs/explanation.md).
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def known(dataset: Path, weights: str, overlays: list[str]) -> tuple[float, float]:
    """Mean Dice on exact masks, and on masks and inner regions, of weights that nothing has been learnt with."""
    from monai.bundle import ConfigParser

    from lazylabels_monai.data.datalist import has_key
    from lazylabels_monai.fine_tuning import FEW
    from lazylabels_monai.warm_start import begin_from

    files = [ROOT / "bundle/configs/train.yaml", ROOT / "configs/cpu.yaml", *overlays]
    config = ConfigParser.load_config_files([str(file) for file in files])
    config |= {"dataset_dir": str(dataset), "init_weights": weights, "num_workers": 0, "device": "cpu"}
    config["rank"] = 1  # which writes nothing
    parser = ConfigParser(config)
    begin_from(parser.get_parsed_content("network_def"), weights, parser.get_parsed_content("classes"), None)
    fine_tuning, found = parser.get_parsed_content("train#fine_tuning"), []
    choice, items = fine_tuning.choice, fine_tuning.items
    for each in ([item for item in items if has_key(item, "segmentation")], items):
        _, scores = choice.score({weights: choice.network.state_dict()}, choice.images.of(each, FEW, fine_tuning.implied))
        found.append(scores[weights])
    return found[0], found[1]


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--weights", default="starter")
    parser.add_argument("--overlay", action="append", default=[])
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    print("| data set | on exact masks | on masks and inner regions |\n|---|---|---|")
    for dataset in given.datasets:
        masks, marks = known(dataset, given.weights, given.overlay)
        print(f"| {dataset.name} | {masks:.3f} | {marks:.3f} |", flush=True)


if __name__ == "__main__":
    main()
