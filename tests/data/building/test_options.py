"""Options, as they are given and as they are typed."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.building import BuildError, BuildOptions, parse_keyed, parse_names


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"areas": {"": "perhaps"}}, "exact or rough"),
        ({"unlabelled": {"": "unknown"}}, "ignore or background"),
        ({"unlabelled": {"mask": "ignore"}}, "'mask' is no kind"),
        ({"labels": [("label", "x")]}, "'label' is no kind"),
        ({"names": {"mask": {"1": "a"}}}, "'mask' is no kind"),
        ({"halo": -1}, "--halo -1"),
        ({"line_width": 0}, "--line-width 0"),
        ({"classes": []}, "at least one class"),
        ({"classes": ["a", "A"]}, "twice"),
        ({"classes": ["Background"]}, "always class 0"),
        ({"classes": [str(i) for i in range(255)]}, "at most 254"),
    ],
)
def test_options_that_mean_nothing(options, said):
    with pytest.raises(BuildError, match=said):
        BuildOptions(**options)


def test_options_as_they_are_typed():
    assert parse_names(["scribbles:1=background,2=my cell", "Tumor: Positive=cell", "classes:255=x"]) == {
        "scribbles": {"1": "background", "2": "my cell"},
        "": {"Tumor: Positive": "cell"},
        "segmentation": {"255": "x"},
    }
    assert parse_keyed(["rough", "cell exact=exact", "instances=ignore"]) == {
        "": "rough",
        "cell exact": "exact",
        "masks": "ignore",
    }
    with pytest.raises(BuildError, match="OLD=NEW"):
        parse_names(["scribbles:1"])
