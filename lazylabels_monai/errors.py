"""One-sentence errors for people, instead of long tracebacks."""

from __future__ import annotations

import ast
import difflib
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["LazyLabelsError", "check_overrides", "one_sentence_errors", "user_error"]

#: Arguments of ``python -m monai.bundle run`` itself, which are no ids of a config file.
_RUN_ARGUMENTS = frozenset(
    [
        "run_id",
        "init_id",
        "final_id",
        "meta_file",
        "config_file",
        "logging_file",
        "tracking",
        "args_file",
        "workflow_name",
        "help",
    ]
)


class LazyLabelsError(ValueError):
    """What a user can mend: the message is one sentence that names the file, the key and the remedy."""


def user_error(error: BaseException | None) -> BaseException | None:
    """The first error in the chain of causes that a user can mend: MONAI wraps errors of config expressions.

    That is a :class:`LazyLabelsError`, or a plain ``ValueError`` that this package raised about one of its arguments.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LazyLabelsError) or (isinstance(error, ValueError) and _raised_here(error)):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _raised_here(error: BaseException) -> bool:
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and Path(__file__).parent in Path(frames[-1][0].f_code.co_filename).parents


def one_sentence_errors() -> None:
    """Print an error that a user can mend and that ends the program as its message alone; the exit status stays 1."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        found = user_error(error)
        if found is None:
            previous(kind, error, trace)
        else:
            print(f"error: {found}", file=sys.stderr)

    sys.excepthook = hook


def check_overrides(arguments: Sequence[str] | None = None) -> None:
    """Refuse a mistyped ``--name value``: MONAI adds an unknown id to the config in silence.

    Likewise ``--name false`` and ``--name None``, of which MONAI makes the text "false" and nothing at all.

    Args:
        arguments: the command line of ``python -m monai.bundle run``; default ``sys.argv``, and where another program
            runs nothing is checked.

    Raises:
        LazyLabelsError: naming the argument and what was probably meant.
    """
    from monai.bundle import ConfigParser  # here, so that labels can be made without importing all of MONAI

    if arguments is None:
        program = Path(sys.argv[0])
        if (program.parent.name, program.name) != ("bundle", "__main__.py"):
            return
        arguments = sys.argv[1:]
    given = dict(_named(arguments))
    if "config_file" not in given or "args_file" in given:
        return
    known = set(ConfigParser.load_config_files(_file_list(given["config_file"]))) | _RUN_ARGUMENTS
    for name, value in given.items():
        if value.lower() == "false" and value != "False":
            raise LazyLabelsError(f"command line: '--{name} {value}' would be read as text, which counts as true; write False.")
        if value in ("None", "null"):
            raise LazyLabelsError(
                f"command line: '--{name} {value}' would not set it to nothing; write '{name}: null' into a file of your own "
                "and name that last in --config_file."
            )
        top = name.replace("#", "::").split("::", 1)[0]
        if top not in known:
            close = difflib.get_close_matches(top, sorted(known), n=1)
            meant = f"did you mean --{close[0]}?" if close else "the names stand at the top of the config file."
            raise LazyLabelsError(f"command line: '--{name}' is no id of this config; {meant}")


def _named(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of name and value, as python-fire reads ``--name value`` and ``--name=value``."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            yield name.replace("-", "_"), value if equals else following


def _file_list(value: str) -> list[str]:
    return list(ast.literal_eval(value)) if value.lstrip().startswith(("[", "(")) else [value]
