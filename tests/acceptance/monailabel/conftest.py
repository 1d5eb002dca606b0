"""Two servers on loopback, the stock app and ours, with the same tiny bundle; every proxy leads nowhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from serving import CLASSES, SETTINGS, SIZE, Server, network, normalised

from lazylabels_monai.apps.monailabel.folder import make_app
from lazylabels_monai.data.simulating.synthetic import make_dataset
from lazylabels_monai.tasks import TASKS, task_slices
from lazylabels_monai.trained import write_classes, write_network


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Six images with all labels: which of them are used is up to the tests."""
    root = tmp_path_factory.mktemp("data") / "set"
    make_dataset(root, num_train=6, num_validation=1, num_test=1, size=SIZE, strong=6, detection=6, separation=6, seed=0)
    return root


@pytest.fixture(scope="session")
def studies(data, tmp_path_factory) -> Path:
    """The six images, a colour TIFF and a JPEG, none of them square."""
    folder = tmp_path_factory.mktemp("studies")
    files = sorted((data / "images").glob("*train*.png"))
    for number, file in enumerate(files):
        shutil.copy(file, folder / f"image{number}.png")
    gray = np.asarray(Image.open(files[0]))
    tifffile.imwrite(folder / "slide.tif", np.stack([gray, gray[::-1], gray[:, ::-1]], axis=-1), photometric="rgb")
    Image.fromarray(gray[::-1]).save(folder / "photo.jpg", quality=95)
    return folder


@pytest.fixture(scope="session")
def weights(data, tmp_path_factory) -> Path:
    """Weights that predict each class somewhere."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net = network()
    state = net.state_dict()
    with torch.no_grad():
        logits = torch.cat([net(normalised(file))[0].flatten(1) for file in (data / "images").glob("*train*.png")], dim=1)
    for task, channels in task_slices(3).items():
        state[f"heads.{task}.conv.bias"] -= logits[channels].median(dim=1).values
    torch.save(state, folder / "model.pt")
    write_classes(folder, CLASSES)
    write_network(folder, net, **SETTINGS)
    return folder / "model.pt"


@pytest.fixture(scope="session")
def servers(weights, studies, tmp_path_factory):
    """``stock`` and ``ours``."""
    root = tmp_path_factory.mktemp("servers")
    tiny = {"crops_per_epoch": 8, "batch_size": 4, "cpu_bfloat16": False}
    bundle = make_app(root / "ours", weights, Path(__file__).parents[3] / "bundle", overrides=tiny)
    config = bundle / "configs" / "inference.yaml"  # in float32 on any processor, as what its answers are compared with
    config.write_text(config.read_text().replace("cpu_bfloat16: auto", "cpu_bfloat16: false"))
    shutil.copytree(Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle", root / "stock")
    shutil.copytree(bundle, root / "stock" / "model" / bundle.name)
    arguments = {"ours": [], "stock": ["models", bundle.name, "zoo_source", "local", "sam2", "false"]}
    running = {}
    try:
        for name, conf in arguments.items():
            shutil.copytree(studies, root / "studies" / name)
            running[name] = _start(root / name, root / "studies" / name, conf)
        for server in running.values():
            server.wait()
        yield running
    finally:
        for server in running.values():
            server.process.terminate()
            server.process.wait(60)


def _start(app: Path, studies: Path, conf: list[str]) -> Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dead = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "" if _has_torchvision() else str(Path(__file__).parent / "stub"),
        "MONAI_LABEL_SESSIONS": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps(["*.png", "*.tif", "*.tiff", "*.jpg"]),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), dead),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
    }
    pairs = zip(conf[::2], conf[1::2], strict=True)
    named = [part for key, value in pairs for part in ("--conf", key, value)]
    where = ["--app", str(app), "--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    log = studies.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "monailabel.main", "start_server", *where, *named],
            cwd=studies.parent,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Server(app, studies, port, process, log)


def _has_torchvision() -> bool:
    try:
        import torchvision.utils  # noqa: F401
    except Exception:  # a build for another torch raises RuntimeError
        return False
    return True


@pytest.fixture(scope="session")
def ours(servers) -> Server:
    """Our app."""
    return servers["ours"]


@pytest.fixture(scope="session")
def stock(servers) -> Server:
    """The app that comes with MONAI Label."""
    return servers["stock"]


LABELLED = {"detection": (0, 1, 2), "separation": (0, 1, 2, 3), "segmentation": (0, 4)}


@pytest.fixture(scope="session")
def without_labels(ours) -> dict[str, Any]:
    """What our server says before there is a label: the first proposals, and to a training."""
    proposals = {task: ours.next(f"next_{task}") for task in TASKS}
    return {"next": proposals, "train": ours.post("/train/lazylabels?run_sync=true", json={"max_epochs": 1})}


@pytest.fixture(scope="session")
def labelled(servers, without_labels, data) -> dict[str, tuple[int, ...]]:
    """Partial labels under three tags, saved by the client; on the stock server exact masks as final labels."""
    for task, numbers in LABELLED.items():
        for number in numbers:
            file = data / task / f"microstructure_train_{number:03}.png"
            servers["ours"].client.save_label(f"image{number}", str(file), tag=task)
            if task == "segmentation":
                servers["stock"].client.save_label(f"image{number}", str(file))
    return LABELLED


@pytest.fixture(scope="session")
def trained(servers, labelled, weights) -> dict[str, dict[str, Any]]:
    """Status of a training on each server, at its end, and the data set that ours trained on."""
    servers["ours"].client.train_start("lazylabels", {"max_epochs": 2, "pretrained": False, "multi_gpu": True})
    servers["stock"].client.train_start("lazylabels", {"max_epochs": 2, "val_split": 0.5})
    found = {name: server.wait_for_training() for name, server in servers.items()}
    datalist = servers["ours"].models / "training" / "datalist.json"
    found["ours"]["datalist"] = json.loads(datalist.read_text()) if datalist.is_file() else None
    return found
