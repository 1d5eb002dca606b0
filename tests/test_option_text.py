"""Any name can be written on the command line, and what is printed is read as it was meant."""

from __future__ import annotations

import random
import shlex
import subprocess
from pathlib import Path

import pytest

from lazylabels_monai.cli.options import names
from lazylabels_monai.data.building.options import parse_names
from lazylabels_monai.option_text import command, naming, quoted, read_names, read_pairs, written_names

LETTERS = "ab ,=:\\\"'[]{}-*é$#;&"


def odd_names(seed: int) -> list[str]:
    chosen = random.Random(seed)
    made = ("".join(chosen.choices(LETTERS, k=chosen.randint(1, 6))).strip() for _ in range(chosen.randint(1, 4)))
    return [name for name in made if name] or ["a"]


@pytest.mark.parametrize("seed", range(200))
def test_what_is_written_is_read(seed):
    odd = odd_names(seed)
    assert names(written_names(odd)) == odd
    assert not written_names(odd).startswith("-")
    option, text = shlex.split(naming(odd[0], odd[-1]))
    assert option == "--names"
    assert parse_names([text]) == {"": {odd[0]: odd[-1]}}


def test_plain_names_stay_plain():
    assert written_names(["air bubble", "ice"]) == "air bubble,ice"
    assert naming("air bubble", "ice") == "--names 'air bubble=ice'"
    assert written_names(["grain, large", "pore"]) == '["grain, large", "pore"]'
    assert naming("grain, large", "grain") == """--names '{"grain, large": "grain"}'"""


def test_what_looks_like_json_and_is_none_is_text():
    assert read_names("[a],b") == ["[a]", "b"]
    assert read_names("[1]") == ["[1]"]
    assert read_pairs("{a}=b") == [("{a}", "b")]
    assert read_pairs('{"a": 1}') is None
    assert read_pairs("a") is None
    assert parse_names(['scribbles:{"1": "grain, large"}', "scribbles:2=b"]) == {"scribbles": {"1": "grain, large", "2": "b"}}


@pytest.mark.parametrize("word", ["a b", "it's", '"a"', "$x", "a`b`!", "a\\b", "-x", "", "*", "ä", "'a' \"b\""])
def test_commands_are_what_a_shell_reads(word):
    assert shlex.split(command("check", word)) == ["lazylabels", "check", word]
    assert subprocess.run(["bash", "-c", f"printf %s {quoted(word)}"], capture_output=True, text=True).stdout == word
    assert shlex.split(quoted(Path(word)))[0] in (word, f"./{word}", ".")


def test_a_path_is_no_option():
    assert command("check", Path("-x"), "--strict") == "lazylabels check ./-x --strict"
