"""The rows of the paper's ablations, with their counterparts on digits.

The numbers are those of table 2 of the paper: top-1 and top-5 accuracy, in
percent, on the validation videos of Kinetics. Recall on digits is another task
for a smaller network: what can be compared is the order of rows, not numbers.
"""

import dataclasses
import itertools
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One network of a table.

    Attributes:
        label: as in the paper, and ours where it differs.
        recipe: on digits; None where the small network has no counterpart.
        top1: top-1 accuracy in the paper, in percent; None for a network that
            is not in the paper.
        top5: top-5 accuracy in the paper, in percent, or None.
    """

    label: str
    recipe: str | None
    top1: float | None = None
    top5: float | None = None

    @property
    def paper(self) -> str:
        """The paper's accuracies as text."""
        if self.top1 is None:
            return "not in the paper"
        return f"{self.top1:.1f} / {self.top5:.1f}"


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes:
        title: the varied property.
        network: of the paper's numbers.
        rows: in the paper's order.
        remark: on the rows on digits.
    """

    title: str
    network: str
    rows: tuple[TableRow, ...]
    remark: str = ""

    @property
    def recipes(self) -> list[str]:
        """The recipes of the rows that have one."""
        return [row.recipe for row in self.rows if row.recipe is not None]


TABLES = {
    "2a": Table(
        "Pairwise functions",
        "C2D-50, one block in res4",
        (
            TableRow("baseline", "digits_c2d", 71.8, 89.7),
            TableRow("Gaussian", "digits_nl_gaussian", 72.5, 90.2),
            TableRow("Gaussian, embedded", "digits_nl", 72.7, 90.5),
            TableRow("dot product", "digits_nl_dot_product", 72.9, 90.3),
            TableRow("concatenation", "digits_nl_concatenation", 72.8, 90.5),
            TableRow("efficient attention", "digits_nl_efficient"),
            TableRow("global context", "digits_nl_global_context"),
        ),
    ),
    # Counted from the end: the default is the last stage but one in both.
    "2b": Table(
        "Stages",
        "C2D-50, one block",
        (
            TableRow("baseline", "digits_c2d", 71.8, 89.7),
            TableRow("res2", None, 72.7, 90.3),
            TableRow("res3; here stage 1 of 3", "digits_nl_stage1", 72.9, 90.4),
            TableRow("res4; here stage 2 of 3", "digits_nl", 72.7, 90.5),
            TableRow("res5; here stage 3 of 3", "digits_nl_stage3", 72.3, 90.1),
        ),
    ),
    "2c": Table(
        "Number of blocks",
        "C2D-50",
        (
            TableRow("baseline", "digits_c2d", 71.8, 89.7),
            TableRow("1 block", "digits_nl", 72.7, 90.5),
            TableRow("5 blocks; here 2", "digits_nl2", 73.8, 91.0),
            TableRow("10 blocks; here 3", "digits_nl3", 74.3, 91.2),
        ),
    ),
    "2d": Table(
        "Axes",
        "C2D-50, five blocks; here one",
        (
            TableRow("baseline", "digits_c2d", 71.8, 89.7),
            TableRow("space-only", "digits_nl_space", 72.9, 90.8),
            TableRow("time-only", "digits_nl_time", 73.1, 90.5),
            TableRow("spacetime", "digits_nl", 73.8, 91.0),
        ),
        "Flash and digits share no frame, so that attention in space cannot "
        "connect them. Their positions overlap in most clips, so that "
        "attention in time could.",
    ),
    "2e": Table(
        "Non-local block and 3-D convolution",
        "ResNet-101",
        (
            TableRow("C2D", "digits_c2d", 73.1, 91.0),
            TableRow("I3D 3x3x3", "digits_i3d", 74.1, 91.2),
            TableRow("I3D 3x1x1", None, 74.4, 91.1),
            TableRow("NL C2D, 5 blocks; here 1", "digits_nl", 75.1, 91.7),
        ),
    ),
    "2f": Table(
        "3-D convolutions with non-local blocks",
        "ResNet-50",
        (
            TableRow("C2D", "digits_c2d", 71.8, 89.7),
            TableRow("I3D", "digits_i3d", 73.3, 90.7),
            TableRow("NL I3D, 5 blocks; here 1", "digits_i3d_nl", 74.9, 91.6),
        ),
    ),
}


def recipes_of(names: Iterable[str]) -> list[str]:
    """List the recipes of some tables, without duplicates, in row order."""
    recipes = [TABLES[name].recipes for name in names]
    return list(dict.fromkeys(itertools.chain(*recipes)))
