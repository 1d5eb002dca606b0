"""What the options of several commands share."""

from __future__ import annotations

import io
import sys

import pytest

from lazylabels_monai.cli.options import end_status_line, failure, names, status_line


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("", None), ("a", ["a"]), (" air bubble,ice ,,", ["air bubble", "ice"])]
)
def test_names_are_separated_by_commas(value, expected):
    assert names(value) == expected


def test_a_failure_names_its_image_once():
    assert failure("a.png", "is damaged") == "error: 'a.png': is damaged"
    assert failure("a.png", "image 'a.png' is damaged") == "error: image 'a.png' is damaged"


@pytest.mark.parametrize("looks", [True, False])
def test_a_status_line_replaces_the_last_one_where_somebody_looks(monkeypatch, looks):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return looks

    monkeypatch.setattr(sys, "stderr", Terminal())
    status_line("1/2")
    status_line("2/2")
    end_status_line()
    wipe = "\r\x1b[K"
    assert sys.stderr.getvalue() == (f"{wipe}1/2{wipe}2/2{wipe}" if looks else "")
