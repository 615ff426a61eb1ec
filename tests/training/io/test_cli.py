import errno
import io
import sys

import pytest

from training import (
    convert,
    evaluate,
    export,
    models,
    predict,
    serve_config,
    shards,
    train,
    visualize,
)
from training.io import cli, tables
from training.io.user_error import UserError

COMMANDS = (
    train,
    evaluate,
    predict,
    export,
    visualize,
    convert,
    models,
    serve_config,
    shards,
)


def failing(error):
    def main(arguments):
        raise error

    return main


def test_success_is_0():
    assert cli.run(lambda arguments: None) == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("Give a\nname."), "error: Give a name.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            "error: No space left to write a/b. Free some and run the same "
            "command again; what was saved before is intact.\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b"),
            "error: No permission to write or read a/b.\n",
        ),
        (FileNotFoundError(2, "No such file", "a"), "error: No such file: a\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_2(error, message, capsys):
    assert cli.run(failing(error)) == 2
    assert capsys.readouterr().err == message


def test_another_backend_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(cli.keras.config, "backend", lambda: "jax")
    assert cli.run(lambda arguments: None) == 2
    assert "KERAS_BACKEND=jax; unset it" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(failing(ZeroDivisionError()))


def test_ctrl_c_is_130(capsys):
    assert cli.run(failing(KeyboardInterrupt())) == 130
    assert "nothing that was saved is lost" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_help_shows_every_option_and_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    name = command.__name__.removeprefix("training.")
    is_module = "." in name
    program = (
        f"python -m training.{name}" if is_module else f"nonlocal-tf {name}"
    )
    assert program in printed
    assert command.EXAMPLE in printed
    assert max(len(line) for line in printed.splitlines()) <= 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_an_unknown_option_is_2(command, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--workdri=x"])
    assert stop.value.code == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_log_has_each_line_at_once_and_in_any_letters(monkeypatch):
    log = io.BytesIO()
    stream = io.TextIOWrapper(log, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)

    def main(arguments):
        print("Reading täglich\udcff.mp4")
        assert log.getvalue() == rb"Reading t\xe4glich\udcff.mp4" + b"\n"

    assert cli.run(main) == 0


def test_failures_are_listed(capsys):
    cli.list_failures(["a: b", "c: d"], 3)
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["2 of 3 could not be read:", "  a: b", "  c: d"]


@pytest.mark.parametrize(
    "reasons, error", [(["a: b"], "^a: b$"), (["a", "b"], "^None of 2 ")]
)
def test_a_command_fails_if_all_inputs_fail(reasons, error):
    with pytest.raises(UserError, match=error):
        cli.list_failures(reasons, len(reasons))


def test_table_aligns_columns():
    assert tables.render([("a", 1), ("long", 22)]) == "  a     1\n  long  22"


def test_percent():
    assert tables.percent(0.98125) == "98.1 %"
