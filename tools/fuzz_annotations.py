"""Coverage-guided fuzzing of everything that reads annotations: a result, or one sentence that names the file.

    python -m venv --system-site-packages fuzz && fuzz/bin/pip install atheris     # once; no requirement of the package
    fuzz/bin/python tools/fuzz_annotations.py --seconds 3600 --folder found        # goes on with what lies in the folder
    python tools/fuzz_annotations.py --replay --folder found                       # no atheris: all of it again, and lines met

An input is a byte that says which file it is (``KINDS``), and the file. What atheris (libFuzzer) finds to reach new code is
kept in ``corpus``; faults in ``faults``, the first of each place in the code. Zips, gzip files and JSON are changed inside too,
as few changed bytes get past a check sum. It prints what was tried; the exit code is 1 where there was a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from tools.bad_input import SHAPE, damaged, odd_json, whole_annotations

ROOT = Path(__file__).resolve().parents[1]
#: What the file is called: this alone tells some formats apart.
KINDS = (
    "a.geojson",
    "a.json",
    "a.zip",
    "a.roi",
    "a.csv",
    "a.geojson.gz",
    "a_seg.npy",
    "legend.json",
    "legend.csv",
    "legend.txt",
)
_CODE = ("lazylabels_monai.labels", "lazylabels_monai.memory", "roifile")
_LARGEST, _SECONDS, _MEGABYTES = 20_000, 120, 3000
_WRITE_EVERY = 5


# ----------------------------------------------------------------------------------------------------------- one input
def whole() -> list[bytes]:
    """Files that programs write, small bombs, and what the tests keep: where the search begins."""
    found = [(Path(name).name, data) for name, data in whole_annotations().items() if len(data) < _LARGEST]
    for path in (ROOT / "tests" / "labels" / "formats" / "files").iterdir():
        found.append((path.name, path.read_bytes()))
    masks = np.zeros(SHAPE, np.uint16)
    masks[3:9, 4:12] = 1
    for content in ({"masks": masks, "filename": "a.png", "flows": [1]}, masks):
        file = io.BytesIO()
        np.save(file, content, allow_pickle=True)
        found.append(("a.npy", file.getvalue()))
    found += [
        ("legend.json", b'{"#ff0000": "grain", "0,255,0": "pore"}'),
        ("legend.csv", b"colour,name\n#ff0000,grain\n0,255,0,pore\n"),
        ("legend.txt", b"# label:color_rgb:parts:actions\ngrain:255,0,0::\n"),
    ]
    by_suffix = {Path(kind).suffix: number for number, kind in reversed(list(enumerate(KINDS)))}
    chosen = []
    for name, data in found:
        if not name.endswith(".png"):
            chosen.append(bytes([KINDS.index(name) if name in KINDS else by_suffix[Path(name).suffix]]) + data)
    return chosen


def reader(kind: str) -> Callable[[Path], None]:
    """What reads such a file."""
    from lazylabels_monai.labels.formats import read_annotations, read_label_picture, read_legend

    def marks(path: Path) -> None:
        for annotation in read_annotations(path):
            for mark in annotation.marks:
                mark.draw(SHAPE)

    return read_legend if kind.startswith("legend") else read_label_picture if kind.endswith(".npy") else marks


def outcome(data: bytes, place: Path) -> tuple[str, str, str, str]:
    """Kind of file; "result", "sentence" or "fault"; where the fault is in the code; and what was said."""
    from lazylabels_monai.errors import user_error

    kind = KINDS[data[0] % len(KINDS)]
    path = place / kind
    path.write_bytes(data[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # numpy's, of numbers that overflow: the marks would be wrong
            reader(kind)(path)
    except Exception as error:
        found = user_error(error)
        if found is None:
            at = next(f for f in reversed(traceback.extract_tb(error.__traceback__)) if str(ROOT) in f.filename)
            where = f"{type(error).__name__} {Path(at.filename).name}:{at.lineno}"
            return kind, "fault", where, "".join(traceback.format_exception(error))
        said = str(found)
        if "\n" in said or not (path.name in said or "the memory is not enough" in said):
            return kind, "fault", f"sentence {re.sub('[^a-z ]+', '', said)[:60]}", said
        return kind, "sentence", "", said
    return kind, "result", "", ""


# ------------------------------------------------------------------------------------------------------------- changes
def changed(body: bytes, rng: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    """A file changed inside its packing where it has one, else by ``plain``, which knows nothing of formats."""
    with contextlib.suppress(Exception):
        if rng.random() < 0.7:
            if body[:2] == b"PK":
                return _zip_changed(body, rng, plain)
            if body[:2] == b"\x1f\x8b":
                return gzip.compress(changed(gzip.decompress(body[:_LARGEST]), rng, plain), 1)
            if body.lstrip()[:1] in (b"{", b"[") and rng.random() < 0.6:
                return odd_json(body, rng)
        if rng.random() < 0.4:
            return damaged(body, rng)
    return plain(body)


def _zip_changed(body: bytes, rng: random.Random, plain: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()[:20] if info.file_size < _LARGEST]
    at = rng.randrange(len(members))
    name, content = members[at]
    how = rng.randrange(10)
    if how == 0:
        del members[at]
    elif how == 1:
        members.append((name, content))
    elif how == 2:
        members[at] = rng.choice(("../a.roi", ".roi", "a.geojson", "a.json", "a", "a.ROI", "ä-1.roi")), content
    else:
        members[at] = name, changed(content, rng, plain)
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", rng.choice((0, 8))) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------------- running
class Counts:
    """What was tried, kept in a file, as the search ends by leaving the process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "counts.json"
        self.known = json.loads(self.file.read_text()) if self.file.is_file() else {}
        self.tried: Counter[str] = Counter(self.known.get("tried", {}))
        self.faults: dict[str, int] = self.known.get("faults", {})
        self.written = time.monotonic()

    def add(self, data: bytes, place: Path) -> None:
        kind, what, where, said = outcome(data, place)
        self.tried[f"{kind} {what}"] += 1
        if what == "fault":
            if where not in self.faults:
                name = f"{len(self.faults):03d}"
                (self.folder / "faults" / f"{name}.txt").write_text(f"{where}\n{said}", errors="replace")
                (self.folder / "faults" / f"{name}.bin").write_bytes(data)
            self.faults[where] = self.faults.get(where, 0) + 1
        if time.monotonic() - self.written > _WRITE_EVERY or (what == "fault" and self.faults[where] == 1):
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        self.file.write_text(json.dumps({"tried": self.tried, "faults": self.faults}))

    def show(self) -> int:
        """Print the table."""
        print(f"{'file':<16}{'tried':>10}{'a result':>10}{'sentence':>10}{'fault':>10}")
        for kind in (*KINDS, "all"):
            of = [sum(n for name, n in self.tried.items() if kind in ("all", name.rpartition(" ")[0]) and name.endswith(what))
                  for what in ("result", "sentence", "fault")]  # fmt: skip
            print(f"{kind:<16}{sum(of):>10}{of[0]:>10}{of[1]:>10}{of[2]:>10}")
        for where, number in self.faults.items():
            print(f"- fault, {number} times: {where}")
        ended = [path.name for path in (self.folder / "faults").glob("*-*")]
        for name in ended:
            print(f"- fault: {name} (libFuzzer's name: crash, timeout or oom)")
        return len(self.faults) + len(ended)


def fuzz(folder: Path, seconds: int, seed: int) -> None:
    """In this process, which ends by it."""
    import atheris

    with atheris.instrument_imports(include=list(_CODE)):
        import roifile  # noqa: F401

        import lazylabels_monai.labels.formats
        import lazylabels_monai.memory  # noqa: F401

    logging.disable(logging.WARNING)  # roifile's
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="fuzz_annotations_", dir=memory if memory.is_dir() else None))
    counts = Counts(folder)

    def mutate(data: bytes, largest: int, number: int) -> bytes:
        rng = random.Random(number)
        kind = data[:1] or b"\0"
        if rng.random() < 0.03:
            kind = bytes([rng.randrange(len(KINDS))])
        body = changed(data[1:], rng, lambda part: bytes(atheris.Mutate(part, largest - 1)))
        return (kind + body)[:largest]

    def one(data: bytes) -> None:
        if data:
            counts.add(data, place)

    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={_LARGEST}",
        f"-timeout={_SECONDS}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-seed={seed}",
        f"-artifact_prefix={folder / 'faults'}/",
        "-print_final_stats=1",
        "-reload=0",
    ]
    atheris.Setup([sys.argv[0], *flags, str(folder / "corpus")], one, custom_mutator=mutate)
    atheris.Fuzz()


def search(folder: Path, seconds: int, seed: int) -> int:
    """Fuzz in processes of their own, the next where one dies; print what was tried."""
    for name in ("corpus", "faults"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(whole()):
        (folder / "corpus" / f"whole_{number:02d}").write_bytes(data)
    end, log = time.monotonic() + seconds, folder / "log.txt"
    part = 0
    while (left := int(end - time.monotonic())) > 0:
        command = [sys.executable, __file__, "--child", "--folder", str(folder)]
        command += ["--seconds", str(left), "--seed", str(seed + part)]
        with open(log, "a") as file:
            file.write(f"--- {part}\n")
            file.flush()
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
        part += 1
        if done.returncode == 0 or part > 50:
            break
    said = log.read_text(errors="replace")
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)", said)
    faults = Counts(folder).show()
    if reached:
        branches, kinds, files, size = reached[-1]
        print(f"branches of the code reached: {branches}, kinds of behaviour: {kinds}, corpus: {files} files of {size}")
    elif faults == 0:
        print(said[-2000:])
        return 1
    print(f"{seconds} s, seed {seed}, {part} processes: {faults} faults")
    return faults


def replay(folder: Path) -> int:
    """Every file of the corpus and of the faults once more, without atheris, and the lines that they meet."""
    counted: Counter[str] = Counter()
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != ROOT / "tools"]  # of this name lies one there
    try:
        import coverage

        watch = coverage.Coverage(data_file=None, branch=True, source=["lazylabels_monai.labels.formats"], messages=False)
    except ImportError:
        watch = None
    logging.disable(logging.WARNING)  # roifile's
    with watch.collect() if watch else contextlib.nullcontext(), tempfile.TemporaryDirectory() as place:
        kept = (*(folder / "corpus").iterdir(), *(folder / "faults").glob("*.bin"), *(folder / "faults").glob("*-*"))
        for path in sorted(kept):
            data = path.read_bytes() or b"\0"
            _, what, where, said = outcome(data, Path(place))
            counted[what] += 1
            if what == "fault":
                print(f"- {path.name}: {where}\n{said[-1500:]}")
    if watch:
        watch.report(show_missing=True)
    print(f"{counted.total()} files: {counted['result']} results, {counted['sentence']} sentences, {counted['fault']} faults")
    return counted["fault"]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="libFuzzer's")
    parser.add_argument("--folder", type=Path, help="where corpus and faults are kept; else they are lost")
    parser.add_argument("--replay", action="store_true", help="read again what the folder holds")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz_annotations_") as lost:
        folder = (given.folder or Path(lost)).resolve()
        if given.replay:
            return 1 if replay(folder) else 0
        if given.child:
            fuzz(folder, given.seconds, given.seed)
            return 0
        return 1 if search(folder, given.seconds, given.seed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
