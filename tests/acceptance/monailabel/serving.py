"""A server to talk to, and what it should answer, computed straight from network and picture."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
from monailabel.client import MONAILabelClient
from PIL import Image

from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.tasks import TASKS, task_slices

CLASSES = ["air bubble", "ice crystal"]
SIZE = (64, 80)  # height, width
PATIENCE = 600  # seconds; of a machine that does much else
SETTINGS = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8, 8], "num_multitask_blocks": 2, "dropout": 0.0}
SETTINGS |= {"tasks": list(TASKS), "crop_size": [32, 32]}


@dataclass
class Server:
    """A running server."""

    app: Path
    studies: Path
    port: int
    process: subprocess.Popen
    log: Path

    @property
    def models(self) -> Path:
        """Folder of the weights."""
        return self.app / "model" / "lazylabels" / "models"

    @property
    def client(self) -> MONAILabelClient:
        """MONAI Label's own client."""
        return MONAILabelClient(f"http://127.0.0.1:{self.port}/", tmpdir=str(self.log.parent))

    def post(self, path: str, **more: Any) -> requests.Response:
        """POST to the REST interface."""
        return requests.post(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE, **more)

    def delete(self, path: str) -> requests.Response:
        """DELETE at the REST interface."""
        return requests.delete(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE)

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-5000:]
            try:
                if requests.get(f"http://127.0.0.1:{self.port}/info/", timeout=PATIENCE).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.5)
        raise AssertionError(f"no answer: {self.log.read_text()[-5000:]}")

    def predict(self, model: str, image: str) -> np.ndarray:
        """The result of a model as it was sent."""
        file, _ = self.client.infer(model, image, {})
        return np.asarray(Image.open(file))

    def next(self, strategy: str) -> str:
        """Id of the image that a strategy proposes."""
        return self.client.next_sample(strategy, {})["id"]

    def wait_for_training(self) -> dict[str, Any]:
        """The status at the end of the training that runs."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            status = self.client.train_status()
            if status["status"] not in ("SUBMITTED", "RUNNING"):
                return status
            time.sleep(0.5)
        raise AssertionError(self.log.read_text()[-5000:])


def expected(weights: Path, file: Path) -> dict[str, np.ndarray]:
    """Class maps (H, W) of the tasks, straight from network and picture."""
    net = network()
    net.load_state_dict(torch.load(weights, weights_only=True))
    # as many windows at once as the bundle: rounding decides between two equally probable classes
    inferer = MultiTaskSlidingWindowInferer((64, 64), sw_batch_size=2, overlap=0.5, num_classes=3)
    with torch.no_grad():
        output = inferer(normalised(file), net)[0].numpy().transpose(0, 2, 1)
    return {task: output[channels].argmax(0) for task, channels in task_slices(3).items()}


def network() -> MultiTaskUNet:
    """Tiny."""
    return MultiTaskUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2).eval()


def normalised(file: Path) -> torch.Tensor:
    """(1, 1, W, H), as MONAI orders the axes."""
    image = np.asarray(Image.open(file), np.float32)
    image = image @ np.float32([0.299, 0.587, 0.114]) if image.ndim == 3 else image
    return torch.from_numpy((image - image.mean()) / image.std()).T[None, None]
