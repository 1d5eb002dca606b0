"""``python -m benchmarks.stardist LABELS OUT``: train on the exact masks among the exported labels, write class maps."""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.exported import TRAINED, arguments, main, read_exported, read_image, write_about, write_predictions
from benchmarks.masks import class_map, exact_masks
from benchmarks.stardist.network import normalized, star_dist_2d


def augmented(image: np.ndarray, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Quarter turns, flips and another brightness and contrast, as in StarDist's examples."""
    turns, flip = rng.integers(4), rng.integers(2)
    image, ids = (np.rot90(array, turns) for array in (image, ids))
    if flip:
        image, ids = image[::-1], ids[::-1]
    return image * rng.uniform(0.6, 2) + rng.uniform(-0.2, 0.2), ids


def run(options: argparse.Namespace) -> None:
    """Train until the time is over, choose the thresholds, predict."""
    import tensorflow as tf

    if threads := int(os.environ.get("OMP_NUM_THREADS", 0)):  # of which TensorFlow knows nothing
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.keras.utils.set_random_seed(options.seed)
    exported = read_exported(options.labels)
    # one of them chooses the weights
    *given, held = [(normalized(image), ids) for image, ids in exact_masks(exported, "StarDist", least=2)]
    patch = min(options.patch, *(side // 16 * 16 for image, _ in (*given, held) for side in image.shape))
    model = star_dist_2d(options.out / "stardist", new=True, train_patch_size=(patch, patch), train_batch_size=options.batch)
    model.prepare_for_training()

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if options.minutes and time.process_time() > options.minutes * 60:
                self.model.stop_training = True

    model.callbacks.append(Stop())
    history = model.train(
        *([pair[part] for pair in given] for part in (0, 1)),
        validation_data=([held[0]], [held[1]]),
        augmenter=partial(augmented, rng=np.random.default_rng(options.seed)),
        seed=options.seed,
        epochs=options.epochs,
        steps_per_epoch=options.steps,
    )
    trained = time.process_time() / 60
    model.optimize_thresholds([held[0]], [held[1]])

    def classify(path: Path) -> np.ndarray:
        return class_map(model.predict_instances(normalized(read_image(path)))[0], exported.interface)

    write_predictions(exported, options.out, classify, partial(print, flush=True))
    curve = [[epoch, round(float(value), 4)] for epoch, value in enumerate(history.history["loss"], 1)]
    settings = {"images": len(given) + 1, "epochs": len(curve), "steps": options.steps, "batch": options.batch, "patch": patch}
    settings[TRAINED] = round(trained, 2)
    write_about(options.out, ("stardist", "tensorflow"), settings, curves={"loss/StarDist": curve})


def parse() -> argparse.ArgumentParser:
    """The command line."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--minutes", type=float, default=0, help="of a core, after which training ends; 0: when epochs do")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--patch", type=int, default=256, help="pixels, at most the smallest image")
    parser.add_argument("--batch", type=int, default=4)
    return parser


if __name__ == "__main__":
    main(run, parse())
