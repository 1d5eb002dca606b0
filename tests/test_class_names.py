"""Names of object classes."""

from __future__ import annotations

import pytest

from lazylabels_monai.class_names import MEND_IT, read_class_names, require_distinct
from lazylabels_monai.errors import LazyLabelsError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_names_are_read_with_a_byte_order_mark_or_without(tmp_path, encoding):
    (tmp_path / "classes.json").write_text('["Pore", "Korn ö"]', encoding=encoding)
    assert read_class_names(tmp_path / "classes.json") == ["Pore", "Korn ö"]


@pytest.mark.parametrize(
    "content", ["", "pore, grain", '["pore",]', '"cell"', '{"pore": 1}', "[]", "[1, 2]", '["a", " "]', "\xff"]
)
def test_what_is_no_list_of_names_is_refused(tmp_path, content):
    file = tmp_path / "classes.json"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(
        LazyLabelsError, match=r"classes\.json' is no JSON list of class names.*: remove it, or pass --classes\.$"
    ):
        read_class_names(file)
    with pytest.raises(LazyLabelsError, match=r": write them as a JSON list, such as .*, or remove it\.$"):
        read_class_names(file, MEND_IT)


def test_two_classes_of_one_name_are_refused():
    require_distinct([])
    require_distinct(["a", "A", "b"])
    with pytest.raises(LazyLabelsError, match=r"^two classes are called 'b', and classes of one name are not added up: give"):
        require_distinct(["a", "b", "c", "b"])
