"""The cost model: the published figures, files of costs."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.costs import AnnotationCosts, read_costs
from lazylabels_monai.errors import LazyLabelsError


def test_figures_of_bearman_et_al():
    """PASCAL VOC: of 20 classes an image shows 1.5, with 2.8 objects; 239.7 s for a mask, 34.9 s for squiggles."""
    costs = AnnotationCosts()
    full, squiggles = costs.seconds("segmentation", 2.8, 18.5), costs.seconds("detection", 1.5, 18.5)
    assert full == pytest.approx(239.7, abs=0.05)
    assert squiggles == pytest.approx(34.9, abs=0.1)
    assert squiggles < full / 6
    with pytest.raises(ValueError, match=r"tasks \['points'\] must name each of"):
        costs.seconds("points", 1)


def test_costs(tmp_path):
    assert read_costs() == AnnotationCosts()
    file = tmp_path / "costs.yaml"
    file.write_text("strong: 40\nimage: 5\n")
    assert read_costs(file, ["image=2.5"]) == AnnotationCosts(strong=40, image=2.5)
    (tmp_path / "costs.json").write_text('{"inner": 8}')
    assert read_costs(tmp_path / "costs.json").inner == 8


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (None, ["strong"], "'strong' is no NAME=SECONDS"),
        (None, ["strong=fast"], "'strong=fast' is no NAME=SECONDS"),
        (None, ["strnog=4"], "'strnog' does not exist: use strong, inner, scribble, absent, image"),
        (None, ["strong=-1"], "'strong' is -1.0: give seconds, 0 or more"),
        (None, ["strong=nan"], "'strong' is nan: give seconds"),
        ("strong: many", [], "'strong' is 'many': give seconds"),
        ("- 3", [], "holds no names: write lines such as 'strong: 40'"),
        ("a: [", [], "cannot be read"),
    ],
)
def test_bad_costs(tmp_path, content, changes, message):
    file = None
    if content is not None:
        file = tmp_path / "costs.yaml"
        file.write_text(content)
    with pytest.raises(LazyLabelsError) as error:
        read_costs(file, changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_costs_file(tmp_path):
    with pytest.raises(LazyLabelsError, match=r"costs file '.*none\.yaml' cannot be read"):
        read_costs(tmp_path / "none.yaml")
