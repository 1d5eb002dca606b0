"""MONAI imported without its large packages: they are there when they are used, and not before."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
from collections import OrderedDict
from copy import deepcopy
from types import ModuleType

import pytest

from lazylabels_monai import late

SCRIPT = """
    import json, pickle, sys, tempfile
    from lazylabels_monai.late import import_late

    import_late()
    import_late()  # once
    said = {"finders": sum(type(finder).__name__ == "_Finder" for finder in sys.meta_path)}
    import monai.bundle, monai.handlers, monai.engines
    from lazylabels_monai.predicting import folder
    slow = ("cv2", "itk", "matplotlib", "nibabel", "pandas", "scipy.signal", "scipy.stats", "tensorboard", "google.protobuf")
    slow += ("zarr",)
    said["before"] = [name for name in slow if name in sys.modules]
    said["sharded"] = "torch.distributed.fsdp" in sys.modules

    # whoever asks for them gets the packages themselves
    import torch, scipy.ndimage, pandas, nibabel
    from monai.data import utils as data
    from monai.transforms.spatial import array
    from monai.utils import jupyter_utils, optional_import
    said["same"] = [
        data.pd._late() is pandas,
        data.DataFrame._late() is pandas.DataFrame,
        isinstance(pandas.DataFrame(), data.DataFrame),
        array.np_ndi.map_coordinates is scipy.ndimage.map_coordinates,
        array.nib.Nifti1Image is nibabel.Nifti1Image,
        jupyter_utils.has_matplotlib and jupyter_utils.plt.Figure.__module__ == "matplotlib.figure",
        torch.utils.tensorboard.SummaryWriter.__name__ == "SummaryWriter",
    ]
    import matplotlib.pyplot
    said["matplotlib"] = hasattr(matplotlib, "__file__") and jupyter_utils.plt._late() is matplotlib.pyplot
    # what is not installed is refused as ever
    said["absent"] = optional_import("no_such_package")[1]
    from ignite.handlers.checkpoint import ZeroRedundancyOptimizer as known
    from torch.distributed.optim import ZeroRedundancyOptimizer
    said["optimizer"] = known._late() is ZeroRedundancyOptimizer and not isinstance(3, known)
    # the ultrasound map draws on four of them at once, three by a name
    import numpy as np
    from monai.data.ultrasound_confidence_map import UltrasoundConfidenceMap
    found = UltrasoundConfidenceMap()(np.random.default_rng(0).random((12, 9)))
    said["works"] = found.shape == (12, 9) and bool(0 <= found.min() < found.max() <= 1)
    from monai.inferers import ZarrAvgMerger
    with tempfile.TemporaryDirectory() as place:
        stores = {name: f"{place}/{name}.zarr" for name in ("store", "value_store", "count_store")}
        merger = ZarrAvgMerger(merged_shape=(1, 1, 4, 4), **stores)
        merger.aggregate(torch.full((1, 1, 4, 4), 3.0), (0, 0))
        said["merges"] = float(merger.finalize()[:].mean())
    print(json.dumps(said))
"""


def test_monai_imports_no_large_package_until_it_is_used(bundle):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], env=bundle.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("same") == [True] * 7
    assert said == {
        "finders": 1,
        "before": [],
        "sharded": False,
        "matplotlib": True,
        "absent": False,
        "optimizer": True,
        "works": True,
        "merges": 3.0,
    }


@pytest.fixture
def ordered() -> late._Late:
    """Stands for a class; nothing of it is loaded yet."""
    return late._Late("collections", lambda: OrderedDict)


def test_a_late_class_is_called_asked_and_inherited_from(ordered):
    assert ordered(a=1) == OrderedDict(a=1)
    assert ordered.fromkeys("ab") == OrderedDict.fromkeys("ab")
    assert isinstance(OrderedDict(), ordered)
    assert not isinstance({}, ordered)
    assert issubclass(OrderedDict, ordered)
    assert not issubclass(dict, ordered)
    made = type("Made", (OrderedDict,), {})

    class Own(ordered):
        pass

    assert Own.__mro__[1:] == made.__mro__[1:]
    assert "move_to_end" in dir(ordered)
    assert ordered[str] == OrderedDict[str]


def test_asking_whether_something_is_of_a_class_loads_nothing():
    def load() -> None:
        raise AssertionError("loaded")

    unknown = late._Late("a_module_that_nobody_imported", load)
    assert not isinstance(3, unknown)
    assert not issubclass(int, unknown)
    assert deepcopy(unknown) is unknown


@pytest.mark.parametrize("real", [OrderedDict, json], ids=["class", "module"])
def test_another_process_gets_the_real_thing(real):
    assert pickle.loads(pickle.dumps(late._Late("json", lambda: real))) is real


def test_it_is_loaded_once_and_errors_are_those_of_the_real_thing():
    loads = []
    stands = late._Late("json", lambda: loads.append(1) or json)
    assert stands.dumps([]) == "[]"
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'dump_it'"):
        stands.dump_it  # noqa: B018
    stands.ours = 3
    assert json.ours == 3
    del json.ours
    assert loads == [1]


def test_a_stand_in_is_gone_afterwards_and_leaves_what_is_there_alone():
    with late._stand_ins("wave:Wave_read", "wave.nothing:x"):
        from wave import Wave_read

        assert isinstance(sys.modules["wave"], ModuleType)
        assert not hasattr(sys.modules["wave"], "__file__")
    assert "wave" not in sys.modules
    assert Wave_read._late().__module__ == "wave"
    with late._stand_ins("json:dumps"):
        assert sys.modules["json"] is json
    with late._stand_ins("no_such_package:x"):
        assert "no_such_package" not in sys.modules


def test_nothing_happens_where_monai_is_there_already():
    assert "monai" in sys.modules
    before = list(sys.meta_path)
    late.import_late()
    assert sys.meta_path == before
