"""The list of commands, as `nonlocal-tf` prints it."""

from training import __main__ as commands


def test_the_overview_fits_on_a_terminal():
    lines = commands.overview().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_every_module_with_a_command_line_is_in_one_group():
    modules = {
        path.stem
        for path in commands.FOLDER.glob("*.py")
        if "\ndef main(" in path.read_text("utf-8")
    } - {"__main__"}
    assert sorted(commands.COMMANDS) == sorted(modules)
