"""Options of a request that would be without effect."""

from __future__ import annotations

import pytest

from lazylabels_monai.apps.monailabel.options import refuse_without_effect
from lazylabels_monai.errors import LazyLabelsError

#: Those that a MONAI Label 0.8.5 shows its clients for this app.
OPTIONS = [
    "device",
    "pretrained",
    "max_epochs",
    "val_split",
    "multi_gpu",
    "gpus",
    "tracking",
    "tracking_uri",
    "tracking_experiment_name",
    "run_id",
    "model_filename",
]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("max_epoch", "did you mean max_epochs?"),
        ("pre_trained", "did you mean pretrained?"),
        ("valsplit", "did you mean val_split?"),
        ("learning_rate", "set it in configs/train.yaml"),
        ("batch_size", "set it in configs/train.yaml"),
        ("init_weights", "did you mean pretrained?"),
    ],
)
def test_an_option_without_effect_is_refused_by_name(name, said):
    with pytest.raises(LazyLabelsError) as refused:
        refuse_without_effect({"max_epochs": 3, name: 1}, OPTIONS)
    assert f"'{name}'" in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_clients_and_the_server_send_is_taken():
    of_the_server = [
        "model",
        "name",
        "local_rank",
        "force_multi_gpu",
        "tracking_run_name",
        "client_id",
        "dataset",
        "bundle_path",
    ]
    refuse_without_effect({}, OPTIONS)
    refuse_without_effect(dict.fromkeys([*OPTIONS, *of_the_server]), OPTIONS)
