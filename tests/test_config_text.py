"""Names of folders that MONAI would run or look up."""

from __future__ import annotations

import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from lazylabels_monai.config_text import literal, literal_path, refuse_expressions
from lazylabels_monai.errors import LazyLabelsError

ODD = [
    "$print(1)",
    "@seed",
    "%seed",
    "@#seed",
    "a@#seed",
    "a%::seed",
    "%/etc/passwd#x",
    "$",
    "@",
    "a b",
    "ü",
    "a#b",
    "1e3",
    "~",
]


def resolved(text: str) -> object:
    config = {"seed": 7, "nested": {"value": text, "used": "$str(@nested::value)"}}
    parser = ConfigParser(config)
    assert parser.get_parsed_content("nested::used") == str(parser.get_parsed_content("nested::value"))
    return parser.get_parsed_content("nested::value")


@pytest.mark.parametrize("text", ODD)
def test_odd_names(text):
    assert resolved(literal(text)) == text


@given(st.text(alphabet="$@%#:_./" + string.ascii_lowercase[:6] + " 0é\n'\"", max_size=12))
def test_any_text(text):
    assert resolved(literal(text)) == text


def test_plain_text_stays_readable():
    assert literal("/home/me/2024 images/a.png") == "/home/me/2024 images/a.png"


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolved(literal_path("$x/@y")) == str(tmp_path / "$x" / "@y")
    undecodable = os.fsdecode(b"\xff")
    assert resolved(literal_path(undecodable)) == str(tmp_path / undecodable)


CODE = "$__import__('os').system('true')"


@pytest.mark.parametrize(
    "request_of_a_client",
    [
        {"device": CODE},
        {"device": [CODE]},
        {"optimizer": {"lr": " $1"}},
        {"gpus": "@network"},
        {"x": "%/etc/passwd"},
        {CODE: 1},
    ],
)
def test_code_in_a_request_is_refused(request_of_a_client):
    with pytest.raises(LazyLabelsError, match="would run or look up"):
        refuse_expressions(request_of_a_client, "the request")


def test_a_plain_request_is_not_refused():
    refuse_expressions(
        {"device": "cpu", "max_epochs": 3, "images": ["a$b.png", "ü"], "pretrained": True, "x": None}, "the request"
    )
