"""``python -m lazylabels_monai.starter``: make the starter anew; see ``docs/starter.md``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from lazylabels_monai.errors import LazyLabelsError


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lazylabels_monai.starter", description="Make the starter weights.")
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="gather the pictures of the open sets, with labels, in one file")
    pack.add_argument("sets", type=Path, help="folder of the sets, as in docs/public-sets.md")
    pack.add_argument("file", type=Path, help="zip file to write")
    pack.add_argument("--most", type=int, help="pictures of a set, for a try")
    held = commands.add_parser("held", help="copy the pictures of these sets that no starter learns from")
    held.add_argument("sets", type=Path, help="folder of the sets")
    held.add_argument("out", type=Path, help="folder to write to, which may be that of the sets")
    make = commands.add_parser("make", help="train on them")
    make.add_argument("file", type=Path, help="what pack wrote")
    make.add_argument("out", type=Path, help="folder for results.json and weights")
    make.add_argument("--plan", default="final", help="runs and their shares of the time: final:230,emps:75 (without emps)")
    make.add_argument("--without", action="append", default=[], help="one run, without this set; may be repeated")
    make.add_argument("--commit", default="", help="recorded")
    from lazylabels_monai.starter.making import Settings

    kinds = {"str": str, "float": float, "int": int, "int | None": int}
    for one in fields(Settings):
        if one.type == "bool":
            make.add_argument(f"--no-{one.name}", dest=one.name, action="store_false", default=one.default)
        else:
            make.add_argument(f"--{one.name.replace('_', '-')}", type=kinds[one.type], default=one.default)
    score = commands.add_parser("score", help="what the results do without training, on pictures that were not learnt from")
    score.add_argument("results", type=Path, help="folder that make wrote")
    score.add_argument("sets", type=Path, nargs="?", help="folder of the sets; generated pictures need none")
    score.add_argument("--only", help="sets, with commas")
    score.add_argument("--most", type=int, help="pictures of a set")
    check = commands.add_parser("check", help="score the starter of this package on built-in pictures")
    check.add_argument("--most", type=int, help="pictures")
    install = commands.add_parser("install", help="put the result into the package, with its card")
    install.add_argument("results", type=Path, help="folder that make wrote")
    given = parser.parse_args(arguments)
    try:
        if given.command == "pack":
            from lazylabels_monai.starter.sets import pack as gather

            print(gather(given.sets, given.file, given.most))
        elif given.command == "held":
            from lazylabels_monai.starter.sets import write_held

            print(write_held(given.sets, given.out))
        elif given.command == "score":
            from lazylabels_monai.starter.scoring import score_results

            domains = [name.strip() for name in given.only.split(",")] if given.only else None
            score_results(given.results, given.sets, domains, given.most, progress=_say)
        elif given.command == "check":
            from lazylabels_monai.bundle_folder import find_starter
            from lazylabels_monai.starter.scoring import score_weights

            print(score_weights(find_starter(), "builtin", most=given.most))
        elif given.command == "install":
            from lazylabels_monai.starter.shipping import install as put_in_place

            put_in_place(given.results, Path(__file__).parent, progress=_say)
        else:
            from lazylabels_monai.starter.making import make as train
            from lazylabels_monai.starter.making import parsed_plan

            plan = parsed_plan(",".join(given.without) if given.without else given.plan)
            settings = Settings(**{one.name: getattr(given, one.name) for one in fields(Settings)})
            train(given.file, given.out, plan, settings, {"commit": given.commit} if given.commit else None)
    except LazyLabelsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    from lazylabels_monai.starter.making import leave

    leave(code)
