"""Values that a training writes pass; text that MONAI would run or resolve, at any place of any of them, does not."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lazylabels_monai import networks
from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.plain_values import NETWORKS, ForeignNetwork, check_names, check_network_values, public_path
from lazylabels_monai.tasks import TASKS

WRITTEN = {
    "network_def": {"_target_": f"{NETWORKS}.MultiTaskUNet", "num_classes": "@num_classes", "channels": "@channels"},
    "spatial_dims": 2,
    "in_channels": 3,
    "channels": [4, 8],
    "num_multitask_blocks": 1,
    "detection_stride": 2,
    "finest_width": 0.5,
    "separation_conv": "depthwise",
    "norm": ["INSTANCE", {"affine": True}],
    "dropout": 0.1,
    "tasks": list(TASKS),
    "crop_size": [32, 32],
    "window_size": [64, 64],
}


def test_what_a_training_writes_passes_as_it_is():
    assert check_network_values(WRITTEN, WRITTEN) == WRITTEN
    config = yaml.safe_load(bundle_config(None, "train.yaml").read_text(encoding="utf-8"))
    plain = {name: value for name, value in config.items() if name in WRITTEN and isinstance(value, list | int | float)}
    assert check_network_values(plain, WRITTEN) == plain
    for norm in ("BATCH", None, ["GROUP", {"num_groups": 4}]):
        assert check_network_values({"norm": norm}, WRITTEN) == {"norm": norm}


def places(value, path=()):
    """Paths of all values within, those of containers too."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def put(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@given(
    st.sampled_from([path for path in places(WRITTEN) if path]),
    st.sampled_from("$@%"),
    st.text(max_size=20),
    st.sampled_from([lambda text: text, lambda text: [text], lambda text: {"name": text}, lambda text: {"_target_": text}]),
)
def test_text_for_monai_is_refused_at_any_place(path, sign, rest, wrapped):
    text = sign + rest
    if path == ("network_def", str(path[-1])) and text == f"@{path[-1]}":
        return  # the one reference that there may be
    with pytest.raises(ValueError, match=r"is|no|any"):
        check_network_values(put(WRITTEN, path, wrapped(text)), WRITTEN)


def test_networks_are_ours_by_any_of_their_paths():
    for name in (name for name in networks.__all__ if name.endswith("UNet")):
        for path in (f"{NETWORKS}.{name}", f"{NETWORKS}.nets.{name}", f"lazylabels_monai.elsewhere.{name}"):
            assert public_path(path) == f"{NETWORKS}.{name}"
            assert check_network_values({"network_def": {"_target_": path}}, WRITTEN)["network_def"]["_target_"].startswith(
                NETWORKS
            )
    for path in (
        "os.system",
        "lazylabels_monai.atomic.write_text",
        "lazylabels_monai_other.networks.MultiTaskUNet",
        "MultiTaskUNet",
    ):
        assert public_path(path) == path
        with pytest.raises(ForeignNetwork, match="none of this package's networks"):
            check_network_values({"network_def": {"_target_": path}}, WRITTEN)


def test_names_are_a_list_of_texts():
    assert check_names(["Porosität", "ice crystal (2 %)", "a@b", "5 $"]) == ["Porosität", "ice crystal (2 %)", "a@b", "5 $"]
    for wrong in (["$x"], [" @x"], ["%x"], [""], [2], "pore", None, {"pore": 1}):
        with pytest.raises(ValueError, match=r"name|begins"):
            check_names(wrong)
