"""Streams that stand for a terminal or a pipe."""

import io


class Terminal(io.StringIO):
    """A terminal of 80 columns that keeps all that is seen on it."""

    def __init__(self):
        super().__init__()
        self.seen = []  # each state of a line that was written over
        self._line, self._column = "", 0

    def isatty(self):
        return True

    def write(self, text):
        for letter in text:
            if letter in "\r\n":
                self.seen.append(self._line.rstrip())
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
        """What stays on the terminal."""
        return [*self.getvalue().splitlines(), self._line.rstrip()]


class Clock:
    """Stands for the module `time`; a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now
