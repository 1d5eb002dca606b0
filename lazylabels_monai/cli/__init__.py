"""Commands of ``lazylabels``, which is ``python -m lazylabels_monai``: thin, each calls one function of the package.

A command imports what it needs when it runs, since MONAI alone takes seconds and most label commands do without.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from lazylabels_monai.cli.bench import bench
from lazylabels_monai.cli.budget import budget
from lazylabels_monai.cli.check import check
from lazylabels_monai.cli.crop import crop
from lazylabels_monai.cli.datalist import datalist
from lazylabels_monai.cli.experiment import experiment
from lazylabels_monai.cli.export_objects import export_objects
from lazylabels_monai.cli.grabcut import grabcut
from lazylabels_monai.cli.measure import measure
from lazylabels_monai.cli.monai_label import monai_label
from lazylabels_monai.cli.napari import napari
from lazylabels_monai.cli.pack import pack, pack_bioimage
from lazylabels_monai.cli.predict import predict
from lazylabels_monai.cli.report import report
from lazylabels_monai.cli.results import picture, results
from lazylabels_monai.cli.score import export, score
from lazylabels_monai.cli.simulate import simulate
from lazylabels_monai.cli.suggest import suggest
from lazylabels_monai.cli.synthetic import synthetic
from lazylabels_monai.cli.train import evaluate, train
from lazylabels_monai.cli.tune import tune

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """The commands in the order in which one needs them, each with its whole first sentence."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:
        rows = [(name, self.commands[name].get_short_help_str(limit=1000)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    cls=_Commands,
    help="Segment microscopy images from lazy labels: make a data set, train, predict, measure. See the README.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes around the same words take as long as all the rest of --help
)
for _command in (
    crop,
    datalist,
    simulate,
    synthetic,
    check,
    grabcut,
    budget,
    export,
    predict,
    pack,
    pack_bioimage,
    tune,
    results,
    picture,
    measure,
    export_objects,
    suggest,
    report,
    score,
    experiment,
    bench,
    monai_label,
    napari,
):
    app.command()(_command)
for _command in (train, evaluate):  # what they do not know is for the bundle
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(_command)


def main() -> None:
    """Run a command; what a user can mend ends as one sentence, a fault of ours with its traceback; exit code 1 both.

    SIGTERM and Ctrl-C end it with a sentence, too, and exit codes 143 and 130.
    """
    from lazylabels_monai.errors import print_error
    from lazylabels_monai.late import import_late
    from lazylabels_monai.stopping import stops
    from lazylabels_monai.threads import wait_asleep

    wait_asleep()
    import_late()

    name = "lazylabels" if Path(sys.argv[0]).stem == "lazylabels" else "python -m lazylabels_monai"
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal cannot show
        with contextlib.suppress(AttributeError, OSError):  # what stands for a terminal may be no such stream
            stream.reconfigure(errors="backslashreplace")
    try:
        with stops(lambda: "what was finished is whole and kept, what was not is gone; the same command does it again."):
            app(prog_name=name)
    except Exception as error:
        print_error(error)
        raise SystemExit(1) from None
