"""Fakes of a terminal and a clock."""

import io


class Terminal(io.StringIO):
    """A terminal that records the lines that were overwritten."""

    def __init__(self):
        super().__init__()
        self.overwritten = []  # each state of an overwritten line
        self._line, self._column = "", 0

    def isatty(self):
        return True

    def write(self, text):
        for letter in text:
            if letter in "\r\n":
                self.overwritten.append(self._line.rstrip())
                self._column = 0
                if letter == "\n":
                    super().write(self._line.rstrip() + "\n")
                    self._line = ""
            else:
                before = self._line[: self._column].ljust(self._column)
                self._column += 1
                self._line = before + letter + self._line[self._column :]
        return len(text)

    def lines(self):
        """Return the lines that remain on the terminal."""
        return [*self.getvalue().splitlines(), self._line.rstrip()]


class Clock:
    """Fake of the module `time`, advanced by a test."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now
