"""Training steps beside busy neighbours: how long one takes, by how torch's threads wait for each other.

Each way of waiting has a process of its own, since OpenMP reads its variables once. They take turns of some seconds, as the
package looks at who computes on the machine, and the processes whose turn it is not do nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from lazylabels_monai.bench.timing import Times, describe_machine
from lazylabels_monai.threads import CHOICES, IDLE, Computing

__all__ = ["WAYS", "busy_neighbours", "section", "steps_in_turns"]

#: By name: variables of the environment, and what the package does.
Ways = Mapping[str, tuple[Mapping[str, str], Sequence[str]]]
#: What the package does, given to the process: :func:`~lazylabels_monai.threads.wait_asleep`, once torch is there, and
#: :func:`~lazylabels_monai.batch_threads.answer_batch`.
_ASLEEP, _SIDE_BY_SIDE = "asleep", "side-by-side"
#: How the threads wait.
WAYS: Ways = {
    "one thread": ({"OMP_NUM_THREADS": "1"}, ()),
    "as torch comes": ({}, ()),
    "`GOMP_SPINCOUNT=10000`": ({"GOMP_SPINCOUNT": "10000"}, ()),
    "`GOMP_SPINCOUNT=1000`": ({"GOMP_SPINCOUNT": "1000"}, ()),
    "always asleep (`OMP_WAIT_POLICY=passive`)": ({"OMP_WAIT_POLICY": "passive"}, ()),
    "asleep while others compute": ({}, (_ASLEEP,)),
    "samples side by side": ({}, (_SIDE_BY_SIDE,)),
    "both (this package)": ({}, (_ASLEEP, _SIDE_BY_SIDE)),
}
#: Seconds of steps for nothing at the beginning of a turn: longer than the package takes to see who computes.
_SETTLE = 5.0
#: Keeps a core busy, and ends when whoever began it is gone, also by a kill.
_NEIGHBOUR = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """So many processes beside this one, each of which keeps a core busy."""
    others = [subprocess.Popen([sys.executable, "-IS", "-c", _NEIGHBOUR, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def steps_in_turns(
    ways: Ways,
    neighbours: Sequence[int],
    repeats: int,
    settle: float = _SETTLE,
) -> dict:
    """Seconds of a training step by the number of neighbours and the way of waiting.

    Args:
        ways: as :data:`WAYS`.
        neighbours: numbers of busy processes.
        repeats: steps of each.
        settle: seconds of steps before them.

    Returns:
        ``{number: {way: Times}}``.
    """
    children = {}
    try:
        for name, (variables, means) in ways.items():
            own = {name: value for name, value in os.environ.items() if name not in (*CHOICES, "OMP_NUM_THREADS")}
            command = [sys.executable, "-m", "lazylabels_monai.bench.threads", *means]
            children[name] = subprocess.Popen(
                command, env={**own, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        found = {}
        for number in neighbours:
            taken: dict[str, list[tuple[float, ...]]] = {}
            for name in ways:  # imported, and a step for nothing
                _ask(children[name])
            with busy_neighbours(number):
                for name in ways:
                    settled = time.monotonic() + settle
                    while time.monotonic() < settled:
                        _ask(children[name])
                    taken[name] = [_ask(children[name]) for _ in range(repeats)]
            found[number] = {name: Times(*zip(*pairs, strict=True)) for name, pairs in taken.items()}
        return found
    finally:
        for child in children.values():
            with suppress(BrokenPipeError):
                child.stdin.close()  # by which it ends
            child.wait()
            child.stdout.close()


#: Said where others were at work when it began.
_BUSY = (
    "Others computed on this machine all the time: to 0, 1 and 2 neighbours they come on top, and what it costs to sleep",
    "where nobody else computes is not measured here. The ratios below are to the first column, no idle machine.",
)


def _others() -> float:
    """Cores that others use now."""
    computing, cores = Computing(), os.sched_getaffinity(0)
    computing.others(cores)
    time.sleep(2.0)
    return max(0.0, computing.others(cores) or 0.0)


def _ask(child: subprocess.Popen) -> tuple[float, ...]:
    child.stdin.write("step\n")
    child.stdin.flush()
    return tuple(map(float, child.stdout.readline().split()))


def section(repeats: int) -> str:
    """Markdown for docs/performance.md: a table of the ways, and what was aimed at."""
    neighbours, cores = (0, 1, 2), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    others = _others()
    found = steps_in_turns(WAYS, neighbours, repeats)
    names = list(WAYS)
    share = [max(1.0, (cores + number) / cores) for number in neighbours]
    lines = [
        f"`python -m lazylabels_monai bench threads --steps {repeats}`; before it began others used {others:.1f} cores.",
        f"{describe_machine()}.",
        "A training step of the multi-task network (widths 8..64, four levels, 4 crops of 128 x 128), each way of waiting",
        f"in a process of its own with {cores} threads, in turns; the neighbours are processes that do nothing but count.",
        f"Each turn begins with {_SETTLE:.0f} s of steps that are not timed, in which the package sees who computes.",
        f"Medians of {repeats} steps, the largest in brackets; CPU seconds count all threads, those that wait awake, too.",
        *(_BUSY if others >= IDLE else ()),
        "",
        "| threads wait | " + " | ".join(f"wall s, {number} more" for number in neighbours) + " | CPU s, 0 | CPU s, 2 |",
        "|---|" + "---|" * (len(neighbours) + 2),
    ]
    for name in names:
        walls = " | ".join(f"{found[n][name].median_wall:.2f} ({max(found[n][name].wall):.2f})" for n in neighbours)
        lines.append(f"| {name} | {walls} | {found[0][name].median_cpu:.2f} | {found[neighbours[-1]][name].median_cpu:.2f} |")
    ours, as_comes = names[-1], names[1]
    idle = found[0][ours].median_wall / found[0][as_comes].median_wall
    lines += [
        "",
        "| aim | reached |",
        "|---|---|",
        "| costs nothing where nobody else computes | "
        + (f"{idle:.2f} times as torch comes |" if others < IDLE else f"not measured: others used {others:.1f} cores |"),
    ]
    for number, fair in zip(neighbours[1:], share[1:], strict=True):
        slower = found[number][ours].median_wall / found[0][ours].median_wall
        before = found[number][as_comes].median_wall / found[0][as_comes].median_wall
        lines.append(
            f"| at most 1.5 times as long beside {number} | {slower:.2f} times; as torch comes {before:.1f} times; with a fair "
            f"share of the cores {fair:.1f} times |"
        )
    return "\n".join(lines)


def _serve() -> None:
    """A training step for each line that comes in, its wall and CPU seconds for each that goes out."""
    from lazylabels_monai.late import import_late
    from lazylabels_monai.threads import wait_asleep

    import_late()
    import torch

    if _ASLEEP in sys.argv[1:]:
        wait_asleep()
    from lazylabels_monai.batch_threads import answer_batch
    from lazylabels_monai.losses import MaskedMultiTaskLoss
    from lazylabels_monai.networks import MultiTaskUNet
    from lazylabels_monai.tasks import TASKS, num_task_classes, present_key

    torch.manual_seed(0)
    network = MultiTaskUNet(
        num_classes=3, channels=(8, 16, 32, 64), num_multitask_blocks=3, norm=("INSTANCE", {"affine": True})
    )
    network = network.to(memory_format=torch.channels_last)
    loss, optimizer = MaskedMultiTaskLoss(3), torch.optim.Adam(network.parameters(), lr=2e-4)
    inputs = torch.randn(4, 1, 128, 128).to(memory_format=torch.channels_last)
    target = {task: torch.randint(0, num_task_classes(task, 3), (4, 1, 128, 128)) for task in TASKS}
    target |= {present_key(task): torch.ones(4) for task in TASKS}
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        answer = answer_batch(network, inputs) if _SIDE_BY_SIDE in sys.argv[1:] else network(inputs)
        loss(answer, target).backward()
        optimizer.step()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    _serve()
