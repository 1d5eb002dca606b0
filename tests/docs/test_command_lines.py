"""The command lines printed on the pages: their commands and options exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import typer

from lazylabels_monai.cli import app
from lazylabels_monai.config_files import read_overlay
from tests.docs.test_pages import DOCS, ROOT, WRITTEN, name

#: Folded into the lines before: a command goes on there.
CONTINUED = re.compile(r"\\\n\s*")
BLOCK = re.compile(r"^ *```(?:sh|bash)?\n(.*?)^ *```", re.M | re.S)
INLINE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:(?<![\w/])lazylabels|-m lazylabels_monai) ([a-z][a-z-]*)\b([^\n]*)")
#: MONAI's own, of `monai.bundle run`.
OF_MONAI = {"--tracking"}
COMMANDS = typer.main.get_command(app).commands
IDS = {f"--{key}" for file in ("train", "evaluate") for key in read_overlay(ROOT / f"bundle/configs/{file}.yaml")}


def command_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of ours on a page, with its options."""
    text = CONTINUED.sub(" ", text)
    shown = [*BLOCK.findall(text), *(" ".join(code.split()) for code in INLINE.findall(BLOCK.sub("", text)))]
    for code in shown:
        for command, rest in COMMAND.findall(code):
            yield command, re.findall(r"(?<!\S)--[\w-]+", re.split(r"\s#|&&|[;|]", rest)[0])


def unknown(text: str) -> list[str]:
    """The commands that there are not, and options that their commands do not have."""
    found = []
    for command, options in command_lines(text):
        if command not in COMMANDS:
            found.append(command)
            continue
        known = {o for p in COMMANDS[command].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        known |= IDS | OF_MONAI if command in ("train", "evaluate") else set()
        found += [f"{command} {option}" for option in options if option not in known]
    return found


@pytest.mark.parametrize("page", [page for page in WRITTEN if DOCS / "history" not in page.parents], ids=name)
def test_every_command_and_option_exists(page):
    assert unknown(page.read_text(encoding="utf-8")) == []


def test_the_check_can_fail():
    text = "`lazylabels forecast x`, `lazylabels check\nd --shet s`\n\n"
    text += "```sh\nlazylabels train d \\\n  --max_epoch 3  # --not\n```\n"
    assert unknown(text) == ["train --max_epoch", "forecast", "check --shet"]
