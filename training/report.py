"""Write the report of a run, from the files in its folder.

report.md has the scores beside the published ones, what was trained and how to
repeat it, where the time went, and the machines; curves.png has the losses,
metrics and learning rate over the steps. Nothing is computed anew, so this
works on any machine, and before a run is finished.
"""

import sys
from collections.abc import Sequence

from .io import cli
from .io.user_error import UserError
from .runs import run_report
from .runs.run_folder import RunFolder

EXAMPLE = "nonlocal-tf report --workdir runs/digits_nl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of `nonlocal-tf report`."""
    parser = cli.parser("report", (__doc__ or "").strip(), EXAMPLE)
    parser.add_argument("--workdir", metavar="DIR", help="run folder or URL")
    options = cli.parse_or_list_runs(parser, arguments, EXAMPLE)
    if options is None:
        return
    if options.workdir is None:
        raise UserError("Give --workdir DIR, the folder of a run.")
    print(f"Report written to {run_report.write(RunFolder(options.workdir))}")


if __name__ == "__main__":
    sys.exit(cli.run(main))
