"""Command line of the programs that try random cases."""

import argparse
import collections
from collections.abc import Callable


def main(
    description: str | None,
    run: Callable[[int, int, float], collections.Counter],
    seconds: float,
) -> None:
    """Try cases and print how they ended.

    Args:
        description: of the program, its module's docstring.
        run: tries cases from a first one, so many or for so many seconds.
        seconds: default of `--seconds`.
    """
    parser = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0]
    )
    parser.add_argument("--seed", type=int, default=0, help="the first case")
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=seconds)
    options = parser.parse_args()
    outcomes = run(options.seed, options.count, options.seconds)
    for outcome, times in outcomes.most_common():
        print(f"{times:7d}  {outcome}")
