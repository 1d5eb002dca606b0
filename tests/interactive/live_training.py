"""A training beside a window in this process: the real network and trainer, tiny."""

from __future__ import annotations

import numpy as np

from lazylabels_monai.interactive.events import EventReader
from tests.helpers import ROOT

OVERLAY = ROOT / "configs" / "interactive.yaml"
#: Two steps an epoch; every epoch is validated.
TINY = {"crops_per_epoch": 4, "batch_size": 2, "val_interval": 1, "ema_decay": 0.5}
SHAPE = (64, 80)
NONE = np.full(SHAPE, 255, np.uint8)


def events_of(workflow, tmp_path):
    reader = EventReader(tmp_path / "out" / "events.jsonl")
    workflow.run()
    return reader.read()
