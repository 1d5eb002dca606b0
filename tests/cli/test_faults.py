"""What a user can mend is one sentence; a fault of the program keeps its traceback and leaves a log."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from lazylabels_monai import cli, tasks
from lazylabels_monai.cli.options import end_status_line, status_line
from lazylabels_monai.errors import LazyLabelsError, explain, user_error


def raised(action) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def wrapped(action) -> BaseException:
    """As MONAI wraps an error of a config expression."""

    def outer():
        try:
            action()
        except Exception as error:
            raise RuntimeError("Failed to evaluate: ...") from error

    return raised(outer)


def refused(number: int, name: str | None = "a.png"):
    def act():
        raise OSError(number, os.strerror(number), name) if name else OSError(number, os.strerror(number))

    return act


def lazy():
    raise LazyLabelsError("a.png: no.")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lazy, "a.png: no."),
        (lambda: tasks.validate_tasks(["x"]), "tasks ['x'] must name"),
        (refused(errno.EACCES), "'a.png': permission denied: change the rights, or name another place."),
        (refused(errno.ENOSPC), "'a.png': the disk is full: make room, or name another place."),
        (refused(errno.EEXIST), "'a.png': there is something of this name already: name another, or remove it."),
        (refused(errno.EROFS, None), "this disk cannot be written"),
        (lambda: bytearray(sys.maxsize), "the memory is not enough"),
        (lambda: Path(os.getcwd()).read_text(), "this is a folder where a file is expected"),
    ],
)
@pytest.mark.parametrize("how", [raised, wrapped])
def test_what_a_user_can_mend(action, said, how):
    assert said in str(user_error(how(action)))


@pytest.mark.parametrize(
    "action",
    [
        lambda: np.zeros(3).reshape(2),  # numpy's ValueError
        lambda: torch.zeros(2) @ torch.zeros(3),
        lambda: np.concatenate([]),
        lambda: int("x"),
        lambda: {}["key"],
        lambda: Path("nowhere/at/all").read_text(),  # not named on the command line: whoever opened it should have asked
        lambda: tasks.task_slices("three"),  # a built-in function refuses, in a module of ours
        refused(errno.EINVAL),
    ],
)
def test_a_fault_of_ours_is_no_sentence(action):
    assert user_error(raised(action)) is None


@pytest.mark.parametrize(("line", "ours"), [("raise ValueError('a.png: no')", False), ("int('x')", True), ("open('')", True)])
def test_of_errors_in_our_code_those_count_that_it_raised(line, ours):
    """The innermost frame is ours each time."""
    module = {}
    code = f"def act():\n    {line}\n"
    exec(compile(code, str(Path(cli.__file__).with_name("made_up.py")), "exec"), module)
    assert (user_error(raised(module["act"])) is None) == ours


def test_a_missing_file_that_was_named_is_the_users(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lazylabels", "budget", "nowhere/at/all"])
    assert "'nowhere/at/all': there is no such file or folder" in str(user_error(raised(Path("nowhere/at/all").read_text)))


def run(monkeypatch, capfd, action) -> str:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(action)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["lazylabels"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    return capfd.readouterr().err


def test_a_command_ends_in_one_sentence(monkeypatch, capfd):
    assert run(monkeypatch, capfd, lazy) == "error: a.png: no.\n"


def test_a_command_with_a_fault_keeps_its_traceback_and_names_a_log(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def faulty() -> None:
        np.zeros(3).reshape(2)

    text = run(monkeypatch, capfd, faulty)
    assert "Traceback (most recent call last)" in text
    assert "in faulty" in text
    assert "cannot reshape array" in text
    log = Path(re.search(r"please report it with (\S+),", text)[1])
    assert log.parent == tmp_path
    content = log.read_text()
    assert "in faulty" in content
    for name in ("lazylabels-monai", "monai", "torch", "numpy"):
        assert re.search(rf"^{name} \d", content, re.M), name


def test_one_image_of_many_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert explain(raised(lazy)) == "a.png: no."
    text = explain(raised(lambda: int("x")))
    assert text.startswith(
        "ValueError: invalid literal for int() with base 10: 'x' (a fault of this program; its traceback is in "
    )
    (log,) = tmp_path.iterdir()
    assert str(log) in text


def test_a_status_line_is_for_terminals(monkeypatch, capsys):
    status_line("1/2 a.png")
    end_status_line()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    status_line("1/2 a.png")
    end_status_line()
    assert capsys.readouterr().err == "\r\x1b[K1/2 a.png\r\x1b[K"
