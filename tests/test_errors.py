"""Errors for people: one sentence for what a user can mend, and arguments that would do nothing are refused."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import torch
import yaml
from monai.utils import optional_import

from lazylabels_monai.errors import (
    LazyLabelsError,
    check_overrides,
    in_number,
    one_line,
    one_sentence_errors,
    print_error,
    user_error,
)
from lazylabels_monai.settings import SETTINGS, check_settings
from lazylabels_monai.tasks import validate_tasks


@pytest.mark.parametrize(
    "given",
    [
        ["--max_epochs", "3", "--train#saver_x", "1", "--loss::normalization", "labelled"],
        ["--resume", "True", "--amp", "False", "--network_def#dropout=0.1", "--final-id", "finalize"],
    ],
)
def test_overrides_of_existing_ids_pass(bundle, given):
    check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


@pytest.mark.parametrize("given", [["--max_epoch", "3"], ["--optimiser#lr=1"], ["--resume=false"], ["--class_weights", "null"]])
def test_overrides_that_would_do_nothing_are_refused(bundle, given):
    with pytest.raises(LazyLabelsError, match=r"^command line: '--"):
        check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


def arguments_in(file: Path, **given: object) -> list[str]:
    file.write_text(yaml.safe_dump(given))
    return ["run", "training", "--args_file", str(file)]


def test_a_mistyped_id_in_a_file_of_arguments_is_refused_by_name(bundle, tmp_path):
    file, configs = tmp_path / "args.yaml", bundle.files("train.yaml")
    for given in ({"config_file": configs}, {"config_file": ",".join(configs * 2)}, {"config_file": configs[0]}):
        check_overrides(arguments_in(file, **given, max_epochs=1, workflow_type="train", tracking="mlflow", run_name="a"))
        with pytest.raises(LazyLabelsError, match=r"args.yaml: 'max_epoch' is no id of this config; did you mean max_epochs\?"):
            check_overrides(arguments_in(file, **given, max_epoch=1))
    for typed in (["--config_file", configs[0]], ["--config_file", str(configs), "--max_epochs", "3"]):
        check_overrides([*arguments_in(file, seed=1), *typed])
        with pytest.raises(LazyLabelsError, match="'lerning_rate' is no id"):
            check_overrides([*arguments_in(file, lerning_rate=3), *typed])
    with pytest.raises(LazyLabelsError, match=r"command line: '--max_epoch' is no id of .* mean --max_epochs\?"):
        check_overrides([*arguments_in(file, config_file=configs), "--max_epoch", "1"])


def raised(call, *around: Exception) -> BaseException:
    """What arrives when ``call`` fails inside of others that each raise an error of their own."""
    try:
        call()
    except Exception as error:
        for outer in around:
            try:
                raise outer from error
            except Exception as caught:
                error = caught
        return error


def fail(error: Exception) -> None:
    raise error


def test_the_error_that_can_be_mended_is_found_behind_those_of_monai():
    mine = LazyLabelsError("mend it so")
    assert user_error(raised(lambda: fail(mine), RuntimeError("eval failed"), RuntimeError("config"))) is mine
    found = user_error(raised(lambda: validate_tasks(["contours"]), RuntimeError("eval failed")))
    assert "contours" in str(found)  # a plain ValueError about an argument of this package
    assert user_error(raised(lambda: fail(ValueError("of another library")), RuntimeError("eval failed"))) is None
    assert user_error(None) is None


def test_a_package_that_monai_misses_is_named():
    """As by ``--tracking mlflow``."""

    def use() -> None:
        module, _ = optional_import("nowhere_installed", name="Handler")
        try:
            module()
        except Exception as error:
            raise RuntimeError("Failed to instantiate component") from error

    with pytest.raises(RuntimeError) as refused:
        use()
    assert (
        str(user_error(refused.value))
        == "the package nowhere_installed is not installed, which is needed for this: install it."
    )
    with pytest.raises(ModuleNotFoundError) as ours:
        import nowhere_installed  # noqa: F401
    assert user_error(ours.value) is None


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, file: torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(file))]
)
def test_a_folder_that_torch_misses_is_named(tmp_path, save):
    with pytest.raises(RuntimeError) as refused:
        save({}, tmp_path / "a" / "model.ts")
    assert str(user_error(refused.value)) == f"'{tmp_path / 'a'}': there is no such folder: make it, or name another."


def test_causes_that_go_in_a_circle_come_to_an_end():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert user_error(first) is None


def test_only_what_can_be_mended_is_told_in_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of the log
    others = []
    monkeypatch.setattr(sys, "excepthook", lambda *given: others.append(given[1]))
    one_sentence_errors()
    sys.excepthook(LazyLabelsError, LazyLabelsError("mend it so"), None)
    assert capsys.readouterr().err == "error: mend it so\n"
    sys.excepthook(KeyError, KeyError("bug"), None)
    told = capsys.readouterr().err
    assert "KeyError: 'bug'" in told
    assert "please report it with" in told
    stop = KeyboardInterrupt()
    sys.excepthook(KeyboardInterrupt, stop, None)
    assert others == [stop]
    assert capsys.readouterr().err == ""


def test_other_programs_are_not_checked(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest", "--config_file", "nowhere.yaml"])
    check_overrides()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--learning_rate", "abc"], "'--learning_rate abc' is no number"),
        (["--max_epochs", "0"], "'--max_epochs 0' must be 1 or more"),
        (["--batch_size=-2"], "'--batch_size -2' must be 1 or more"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(bundle, given, said):
    with pytest.raises(LazyLabelsError, match=said):
        check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


def test_the_example_of_a_number_is_taken_as_a_value_of_the_setting(bundle):
    """As 1 would not be for a share."""
    (file,) = bundle.files("train.yaml")
    content = yaml.safe_load(Path(file).read_text())
    numbers = [name for name in SETTINGS if type(content.get(name)) in (int, float)]
    assert len(numbers) > 15
    for name in numbers:
        with pytest.raises(LazyLabelsError) as raised:
            check_overrides(["run", "training", "--config_file", str([file]), f"--{name}", "ten"])
        example = str(raised.value).partition(f"--{name} ten' is no number; write for example --{name} ")[2].removesuffix(".")
        check_settings({name: yaml.safe_load(example)})


def test_numbers_and_expressions_are_taken(bundle):
    given = [
        "--learning_rate",
        "1e-4",
        "--max_epochs",
        "$2 + 1",
        "--dropout",
        "0",
        "--ema_decay",
        "@dropout",
        "--seed",
        "%own.yaml::seed",
    ]
    check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


def test_a_sentence_steers_no_terminal_and_keeps_its_lines(capsys):
    print_error(LazyLabelsError("'a\x1b[2J\r.png': é 漢\n'b\u202e.png': it is there\t."))
    assert capsys.readouterr().err == "error: 'a\\x1b[2J\\r.png': é 漢\n'b\\u202e.png': it is there\\t.\n"


def test_one_line_is_one_line():
    assert one_line("a\n\x1b[2J\x85\u2028 b") == "a\\n\\x1b[2J\\x85\\u2028 b"
    assert one_line("Kristall ü (µm), 漢 字") == "Kristall ü (µm), 漢 字"


@pytest.mark.parametrize(("count", "said"), [(0, "a[b|c]{} are left"), (1, "a[b|c]{} is left"), (2, "a[b|c]{} are left")])
def test_a_sentence_stands_in_the_number_of_what_it_is_about(count, said):
    """Names are put in as they are, whatever signs they hold."""
    assert in_number(count, "{name} [is|are][|] left", name="a[b|c]{}") == said


def test_a_disk_that_does_not_answer_is_no_fault_of_ours():
    said = user_error(OSError(errno.EIO, "Input/output error", "a.tif"))
    assert str(said) == "'a.tif': its disk does not answer: see that it is connected, and give the same command again."


def test_what_fails_beside_parts_of_ones_own_need_be_no_fault_of_the_program(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("lazylabels_monai.errors.OWN_PARTS", ["loss#_target_"])
    print_error(TypeError("unexpected keyword argument"))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: the traceback says what failed: 'loss#_target_', which you gave yourself, may not go with")
