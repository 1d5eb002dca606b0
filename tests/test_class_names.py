"""Names of object classes."""

from __future__ import annotations

import pytest

from lazylabels_monai.class_names import require_distinct
from lazylabels_monai.errors import LazyLabelsError


def test_two_classes_of_one_name_are_refused():
    require_distinct([])
    require_distinct(["a", "A", "b"])
    with pytest.raises(LazyLabelsError, match=r"^two classes are called 'b', and classes of one name are not added up: give"):
        require_distinct(["a", "b", "c", "b"])
