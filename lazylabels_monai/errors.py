"""One-sentence errors for people, instead of long tracebacks."""

from __future__ import annotations

import ast
import difflib
import dis
import errno
import os
import platform
import re
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = [
    "FOLDER_IDS",
    "OWN_PARTS",
    "RUN_INITIALIZE",
    "DiskError",
    "LazyLabelsError",
    "check_overrides",
    "explain",
    "first_line",
    "given_in_file",
    "given_overrides",
    "in_number",
    "is_bundle_program",
    "is_out_of_memory",
    "named_configs",
    "one_line",
    "one_sentence_errors",
    "print_error",
    "refused_by_disk",
    "some",
    "some_of",
    "user_error",
    "write_log",
]

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
        "workflow_type",
        "properties_path",
        "help",
    ]
)
#: Those that the program makes of --tracking.
_TRACKING_ARGUMENTS = frozenset(["tracking_uri", "experiment_name", "run_name", "save_execute_config"])


#: Ids that name a folder or a file, which may be called as one likes; see :mod:`lazylabels_monai.overrides`.
FOLDER_IDS = frozenset(["bundle_root", "ckpt_dir", "dataset_dir", "output_dir", "weights"])

#: Ids that count something of which there must be one at least.
_COUNTS = frozenset(["max_epochs", "batch_size", "crops_per_epoch", "val_interval"])


#: What a program does that takes the configs apart by itself.
RUN_INITIALIZE = (
    "make the workflow by monai.bundle.create_workflow, or call parser.get_parsed_content('initialize') before anything else"
)


#: Parts of the config, such as ``loss#_target_``, that a person gave: what fails then need be no fault of ours.
OWN_PARTS: list[str] = []


#: A word in singular and plural.
_IN_NUMBER = re.compile(r"\[([^|\[\]]*)\|([^|\[\]]*)\]")


class LazyLabelsError(ValueError):
    """What a user can mend: the message is one sentence that names the file, the key and the remedy."""


class DiskError(LazyLabelsError):
    """A disk that is full, or not to be written: so it is for all that follows, too."""


def user_error(error: BaseException | None) -> BaseException | None:
    """The first error in the chain of causes that a user can mend: MONAI wraps errors of config expressions.

    That is a :class:`LazyLabelsError`; a plain ``ValueError`` or ``OSError`` by a ``raise`` of this package about what it was
    given; and what the machine refuses: a file that may not be written, a full disk, too little
    memory. What numpy, torch or this package stumbled over is a fault of ours and none of these.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LazyLabelsError):
            return error
        if (refusal := _refusal(error)) is not None:
            return refusal
        if isinstance(error, (ValueError, OSError)) and _raised_here(error):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _raised_here(error: BaseException) -> bool:
    """Whether a ``raise`` statement of this package made the error, not a built-in function that it called."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return False
    code, last = frames[-1][0].f_code, _last_traceback(error.__traceback__)
    here = Path(__file__).parent in Path(code.co_filename).parents
    return here and code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _last_traceback(trace: TracebackType) -> TracebackType:
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace


#: What a system refuses for reasons that a user can mend, and how.
_REFUSALS = {
    errno.EACCES: "permission denied: change the rights, or name another place",
    errno.EPERM: "not permitted: change the rights, or name another place",
    errno.EROFS: "this disk cannot be written: name another place",
    errno.ENOSPC: "the disk is full: make room, or name another place",
    errno.EDQUOT: "your share of the disk is used up: make room, or name another place",
    errno.EMFILE: "too many files are open: close some programs, or raise the limit (ulimit -n)",
    errno.EIO: "its disk does not answer: see that it is connected, and give the same command again",
    errno.ESTALE: "its disk has been connected anew: give the same command again",
    errno.ENAMETOOLONG: "the name is too long for this disk: name a shorter one",
    errno.EEXIST: "there is something of this name already: name another, or remove it",
    errno.EISDIR: "this is a folder where a file is expected: name a file",
    errno.ENOTDIR: "a part of this path is a file where a folder is expected: correct the path",
}


#: What torch says of memory it does not get, on the CPU, on a GPU and by the libraries that it calls.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


#: What MONAI says where a package is missed that not everybody needs.
_NO_PACKAGE = re.compile(r"No module named '([\w.]+)'")
#: What torch says where it is to save a file into a folder that is not there.
_NO_FOLDER = re.compile(r"Parent directory (.+) does not exist\.")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that there is too little memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if _says_no_memory(error):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _says_no_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return True
    return type(error) is RuntimeError and any(text in str(error).lower() for text in _NO_MEMORY)


def _refusal(error: BaseException) -> LazyLabelsError | None:
    if _says_no_memory(error):
        return LazyLabelsError(
            "the memory is not enough: take smaller windows (window_size), crops or batches, or close other programs."
        )
    if type(error).__name__ == "OptionalImportError" and (missing := _NO_PACKAGE.search(str(error))):
        return LazyLabelsError(f"the package {missing[1]} is not installed, which is needed for this: install it.")
    if type(error) is RuntimeError and (missing := _NO_FOLDER.fullmatch(str(error))):
        return LazyLabelsError(f"'{missing[1]}': there is no such folder: make it, or name another.")
    if not isinstance(error, OSError):
        return None
    place = f"'{error.filename}': " if error.filename else ""
    if error.errno in _REFUSALS:
        return LazyLabelsError(f"{place}{_REFUSALS[error.errno]}.")
    if error.errno == errno.ENOENT and error.filename and str(error.filename) in sys.argv:
        return LazyLabelsError(f"{place}there is no such file or folder: correct the path.")
    return None


#: Of them, those that only writing meets.
_FULL = frozenset([errno.EROFS, errno.ENOSPC, errno.EDQUOT])


def refused_by_disk(error: BaseException | None, place: str | os.PathLike) -> str | None:
    """Why a disk refused to be written, with the remedy; None for every other error, and for one that is a sentence already.

    Args:
        error: it and its causes are looked through.
        place: what was to be written. Missing rights count for what lies there, and for no image that may not be read.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, LazyLabelsError):
            return None
        rights = isinstance(error, PermissionError) and error.errno in _REFUSALS and _lies_in(error.filename, place)
        if rights or (isinstance(error, OSError) and error.errno in _FULL):
            return _REFUSALS[error.errno]
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _lies_in(file: Any, place: str | os.PathLike) -> bool:
    """Whether it is the place, lies in it, or beside it under a hidden name."""
    if not isinstance(file, (str, os.PathLike)):
        return False
    path, target = Path(os.path.abspath(file)), Path(os.path.abspath(place))
    hidden = path.parent == target.parent and path.name.startswith(f".{target.name}")
    return target == path or target in path.parents or path in target.parents or hidden


def first_line(error: BaseException) -> str:
    """What an error of another program says first, without a full stop; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def some_of(parts: Sequence[str], most: int = 3) -> str:
    """The first parts of a list in a sentence, and how many more there are."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list in quotes, and how many more there are."""
    return some_of([f"'{name}'" for name in names], most)


def in_number(count: int, sentence: str, **parts: object) -> str:
    """A sentence about one thing or several, in which ``[is|are]`` stands for the word in singular and plural.

    Args:
        count: how many there are.
        sentence: with such words, and ``{name}`` for each of ``parts``.
        parts: what is put in, as it is.
    """
    return _IN_NUMBER.sub(lambda words: words[1 if count == 1 else 2], sentence).format(**parts)


def explain(error: BaseException) -> str:
    """An error of one image among many, in a sentence; of a fault of ours, with the file that its traceback was written to."""
    found = user_error(error)
    if found is not None:
        return str(found)
    return f"{type(error).__name__}: {error} (a fault of this program; its traceback is in {write_log(error)})"


def write_log(error: BaseException) -> Path:
    """Write command, versions and traceback of a fault into a file of its own in the folder for temporary files."""
    from importlib import metadata  # takes long, and is seldom needed

    lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}", f"{platform.platform()}, Python {sys.version}"]
    for name in ("lazylabels-monai", "monai", "torch", "numpy", "scikit-image"):
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    lines += ["", *traceback.format_exception(error)]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="lazylabels_", suffix=".log", delete=False) as file:
        file.write("\n".join(lines))
    return Path(file.name)


#: Several errors are told on lines of their own.
_LINES = "\n"


def one_line(text: str, keep: str = "") -> str:
    r"""Text in which a file may have put line ends or what steers a terminal, as one line; ``keep`` stays as it is.

    Example:
        >>> one_line("a\n\x1b[2Jb")
        'a\\n\\x1b[2Jb'
    """
    return "".join(c if c in keep or c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def print_error(error: BaseException) -> None:
    """Print what a user can mend as one sentence; of a fault of ours the traceback, and where a report of it lies."""
    found = user_error(error)
    if found is not None:
        print(f"error: {one_line(str(found), keep=_LINES)}", file=sys.stderr)
        return
    traceback.print_exception(error)
    fault = "this is a fault of the program, not of your files"
    if OWN_PARTS:
        fault = (
            f"the traceback says what failed: {some(OWN_PARTS)}, which you gave yourself, may not go with the rest; "
            "where it does, this is a fault of the program"
        )
    print(
        f"error: {fault}: please report it with {write_log(error)}, which holds the traceback and the versions.",
        file=sys.stderr,
    )


def one_sentence_errors() -> None:
    """Let an error that ends the program be printed by :func:`print_error`; the exit status stays 1.

    A full disk that the thread of TensorBoard's writer meets is left to the next write, which meets it, too.
    """
    previous, of_threads = sys.excepthook, threading.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            print_error(error)
        else:
            previous(kind, error, trace)

    def hook_of_threads(arguments: threading.ExceptHookArgs) -> None:
        if not (isinstance(arguments.exc_value, OSError) and arguments.exc_value.errno in _FULL):
            of_threads(arguments)

    sys.excepthook, threading.excepthook = hook, hook_of_threads


def is_bundle_program() -> bool:
    """Whether this process is ``python -m monai.bundle``."""
    program = Path(sys.argv[0])
    return (program.parent.name, program.name) == ("bundle", "__main__.py")


def given_overrides(arguments: Sequence[str] | None = None) -> dict[str, str]:
    """The ``--name value`` of ``python -m monai.bundle run`` as they were typed; of a name given twice the last.

    Args:
        arguments: the command line; default ``sys.argv``, and where another program runs nothing is given.
    """
    if arguments is None:
        if not is_bundle_program():
            return {}
        arguments = sys.argv[1:]
    return dict(_named(arguments))


def given_in_file(given: Mapping[str, str]) -> dict[str, Any]:
    """The names and values of the ``--args_file`` among :func:`given_overrides`; those of the command line go before them."""
    from monai.bundle import ConfigParser  # here, so that labels can be made without importing all of MONAI

    if "args_file" not in given:
        return {}
    typed = given["args_file"]
    sources = typed if Path(typed).is_file() or not typed.startswith(("{", "[", "(")) else ast.literal_eval(typed)
    found: dict[str, Any] = {}
    for source in [sources] if isinstance(sources, str | dict) else sources:
        found.update(source if isinstance(source, dict) else ConfigParser.load_config_file(source))
    return found


def named_configs(given: Mapping[str, str], in_file: Mapping[str, Any]) -> list[str]:
    """The files of ``--config_file``, wherever they were named; empty where they were not."""
    value = given.get("config_file", in_file.get("config_file"))
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    if not isinstance(value, str):
        return []
    if value.lstrip().startswith(("[", "(")):
        return list(ast.literal_eval(value))
    return value.split(",") if "," in value and not Path(value).is_file() else [value]


def check_overrides(arguments: Sequence[str] | None = None) -> None:
    """Refuse a mistyped ``--name value``: MONAI adds an unknown id to the config in silence.

    So it does with one in the file of ``--args_file``.

    Likewise ``--name false`` and ``--name None``, of which MONAI makes the text "false" and nothing at all.

    Args:
        arguments: the command line of ``python -m monai.bundle run``; default ``sys.argv``, and where another program
            runs nothing is checked.

    Raises:
        LazyLabelsError: naming the argument and what was probably meant.
    """
    from monai.bundle import ConfigParser  # here, so that labels can be made without importing all of MONAI

    given = given_overrides(arguments)
    in_file = given_in_file(given)
    files = named_configs(given, in_file)
    if not files:
        return
    config = ConfigParser.load_config_files(files)
    known = set(config) | _RUN_ARGUMENTS | (_TRACKING_ARGUMENTS if "tracking" in {**in_file, **given} else set())
    for name in in_file:
        if _top(name) not in known:
            raise LazyLabelsError(f"{given['args_file']}: '{name}' is no id of this config; {_meant(_top(name), known)}")
    for name, value in given.items():
        if name in FOLDER_IDS:
            if value.startswith(("$", "@", "%")) and Path(value).exists():  # before MONAI runs it
                raise LazyLabelsError(
                    f"command line: '--{name} {value}' is read as an expression; write ./{value} for that path."
                )
            continue
        if value.lower() == "false" and value != "False":
            raise LazyLabelsError(f"command line: '--{name} {value}' would be read as text, which counts as true; write False.")
        if value in ("None", "null"):
            raise LazyLabelsError(
                f"command line: '--{name} {value}' would not set it to nothing; write '{name}: null' into a file of your own "
                "and name that last in --config_file."
            )
        top = _top(name)
        if top not in known:
            raise LazyLabelsError(f"command line: '--{name}' is no id of this config; {_meant(top, known, '--')}")
        if top == name and type(config.get(name)) in (int, float) and not value.startswith(("$", "@", "%")):
            _check_number(name, value, config[name], above_zero=name in _COUNTS)


def _top(name: str) -> str:
    return name.replace("#", "::").split("::", 1)[0]


def _meant(name: str, known: Collection[str], before: str = "") -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {before}{close[0]}?" if close else "the names stand at the top of the config file."


def _check_number(name: str, value: str, usual: float, above_zero: bool) -> None:
    try:
        number = float(value)
    except ValueError:
        raise LazyLabelsError(f"command line: '--{name} {value}' is no number; write for example --{name} {usual}.") from None
    if above_zero and number < 1:
        raise LazyLabelsError(f"command line: '--{name} {value}' must be 1 or more.")


def _named(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of name and value, as python-fire reads ``--name value`` and ``--name=value``."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            yield name.replace("-", "_"), value if equals else following
