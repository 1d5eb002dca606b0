"""The commands ``train`` and ``evaluate``: the bundle's own, with its configs found and the folders named."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lazylabels_monai.option_text import quoted
from lazylabels_monai.stopping import run_child

__all__ = ["evaluate", "train"]

#: Overlays of a preset, after the bundle's own configs.
PRESETS: dict[str, tuple[str, ...]] = {"cpu": ("cpu.yaml",), "gpu": (), "paper": ("paper.yaml",)}
#: On every machine: its network begins from the starter, and is the one that was scored (docs/starter.md).
DEFAULT = "cpu"

_DATA = Annotated[Path, typer.Argument(help="data set: the folder that `datalist` made")]
_PRESET = Annotated[
    str | None,
    typer.Option(
        help=f"cpu: a small network from the starter; gpu: the paper's size, from nothing; paper: its size and plain setting. "
        f"Default: {DEFAULT}"
    ),
]
_OUTPUT = Annotated[Path | None, typer.Option(help="folder of the results; default outputs/ and the name of the data set")]
_CONFIG = Annotated[list[str] | None, typer.Option(help="a config file after the preset's, may be repeated")]


def train(context: typer.Context, data: _DATA, preset: _PRESET = None, output: _OUTPUT = None, config: _CONFIG = None) -> None:
    """Train on a data set. Further options are ids of the bundle's train.yaml: --max_epochs 50 --init_weights starter ..."""
    _run("training", ("train.yaml",), data, preset, output, config, context.args)


def evaluate(
    context: typer.Context, data: _DATA, preset: _PRESET = None, output: _OUTPUT = None, config: _CONFIG = None
) -> None:
    """Score the trained network on test images, else on validation ones; options as in its training, and --section."""
    arguments = list(context.args)
    if not any(argument.split("=")[0] == "--section" for argument in arguments):
        from lazylabels_monai.data.datalist import load_datalist

        if not load_datalist(data).get("testing"):
            typer.echo("the data set has no test images: the validation images are taken, on which the network was chosen.")
            arguments += ["--section", "validation"]
    _run("evaluating", ("train.yaml", "evaluate.yaml"), data, preset, output, config, arguments)


def _run(
    run_id: str,
    names: tuple[str, ...],
    data: Path,
    preset: str | None,
    output: Path | None,
    config: list[str] | None,
    arguments: list[str],
) -> None:
    from lazylabels_monai.bundle_folder import bundle_config, find_overlay
    from lazylabels_monai.config_files import check_overlays
    from lazylabels_monai.data.datalist import require_datalist

    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset {preset} does not exist: use {', '.join(PRESETS)}.")
    if arguments and not arguments[0].startswith("--"):
        raise ValueError(f"'{arguments[0]}' is no option: name the data set alone, then --name value.")
    file = require_datalist(data)
    _refuse_machinery(arguments)
    check_overlays(config or ())  # nothing of this package runs before MONAI reads them
    folder = file.parent
    out = output if output is not None else Path("outputs") / folder.resolve().name
    files = [bundle_config(None, name) for name in names]
    files += [find_overlay(name) for name in PRESETS[preset or DEFAULT]]
    listed = [_shown(file) for file in files] + list(config or ())
    given = {"config_file": f"[{','.join(map(repr, listed))}]", "dataset_dir": _as_text(folder), "output_dir": _as_text(out)}
    given["ckpt_dir"] = _as_text(out / "models")
    arguments = [*_network_of_weights(arguments, config or ()), *arguments]
    command = ["run", run_id, *(part for key, value in given.items() for part in (f"--{key}", value)), *arguments]
    typer.echo(" ".join(map(quoted, ["python", "-m", "monai.bundle", *command])))
    # the same program, begun sooner; it has said that it was stopped
    status = run_child([sys.executable, "-m", "lazylabels_monai.bundle_program", *command], end_too=False)
    if status:
        raise typer.Exit(status)


#: Ids that check settings and begin the run: who replaces them replaces the checks.
_MACHINERY = (
    "args_file",
    "imports",
    "initialize",
    "given_settings",
    "made_settings",
    "run",
    "training",
    "evaluating",
    "finalize",
)


def _refuse_machinery(arguments: Sequence[str]) -> None:
    """Refuse to replace what checks everything else.

    Raises:
        ValueError: naming the option and where it may be given.
    """
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        top = name.lstrip("+").replace("::", "#").partition("#")[0].replace("-", "_")
        if argument.startswith("-") and top in _MACHINERY:
            raise ValueError(
                f"--{name} would replace a part that checks the settings and runs the training: leave it out; more imports or "
                f"steps are added by '+{top}:' in a config file that --config names."
            )


def _network_of_weights(arguments: list[str], config: Sequence[str]) -> list[str]:
    """The network of the weights that a training begins from, as options, where the user names no other.

    A preset is no choice of a network.
    """
    from lazylabels_monai.config_files import read_overlay

    chosen: dict[str, Any] = {}
    for file in config:
        chosen.update(read_overlay(file))
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            chosen[name.replace("-", "_")] = value if equals else following
    begun = chosen.get("init_weights")
    if begun in (None, "") or str(begun).startswith("$"):  # an expression looks at the network itself
        return []
    from lazylabels_monai.warm_start import NOTHING, network_of

    if begun == NOTHING:
        return []
    settings = {name: value for name, value in network_of(begun).items() if name not in chosen}
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def _shown(file: Path) -> str:
    """Short where it lies below the working folder."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def _as_text(path: Path) -> str:
    """A path that the bundle's command line takes for text: ``2024_05`` alone would be a number to it."""
    return str(path) if path.is_absolute() else f"./{path.as_posix()}"
