"""The table of faults, and the code with one of them in it."""

import dataclasses
import pathlib
import tomllib

TABLE = pathlib.Path(__file__).with_name("faults.toml")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A change of a line or two of code that a test is to see.

    Attributes:
        id: a letter for the package and a number; "null" and a number for a
            change of nothing, which no test may see.
        file: in which it is, from the root of the project.
        what: it does, in words.
        old: text of the file.
        new: what is written there instead.
        tests: files and folders of tests, of which one is to fail.
        nth: place of `old` in the file, where it occurs several times.
    """

    id: str
    file: str
    what: str
    old: str
    new: str
    tests: list[str]
    nth: int = 0

    @property
    def is_control(self) -> bool:
        return self.id.startswith("null")

    def apply(self, source: str) -> str:
        """Return the content of the file with the fault in it.

        Raises:
            ValueError: the text is not there.
        """
        parts = source.split(self.old)
        if len(parts) < self.nth + 2:
            raise ValueError(f"{self.id}: {self.file} has no {self.old!r}")
        after_match = self.nth + 1
        before, after = (
            self.old.join(parts[:after_match]),
            self.old.join(parts[after_match:]),
        )
        return f"{before}{self.new}{after}"


def read() -> list[Fault]:
    """Return all faults, in the order of the table."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return [Fault(**row) for row in table["fault"]]
