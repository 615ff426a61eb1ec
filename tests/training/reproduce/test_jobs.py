"""The queue of commands, with commands that take no time."""

import os

import pytest

from training.reproduce import jobs


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)


def shell(folder, name, script, **fields):
    """A job that runs a line of shell in a folder."""
    return jobs.Job(
        name=name,
        command=("sh", "-c", f"cd {folder} && {script}"),
        log=folder / f"{name}.log",
        weight=fields.pop("weight", 1.0),
        outcome=fields.pop("outcome", lambda: f"{name} is fine"),
        **fields,
    )


WAIT = "for i in $(seq 500); do [ -e {0} ] && exit 0; sleep 0.02; done; exit 1"


def test_two_at_once_run_side_by_side(tmp_path):
    # Each ends well only if the other runs before it has ended.
    a = shell(tmp_path, "a", "touch a_runs; " + WAIT.format("b_runs"))
    b = shell(tmp_path, "b", "touch b_runs; " + WAIT.format("a_runs"))
    assert jobs.run([a, b], at_once=2) == []


def test_one_at_once_runs_one_after_the_other(tmp_path):
    script = "[ ! -e busy ] && touch busy && sleep 0.05 && rm busy"
    queue = [shell(tmp_path, name, script) for name in "abc"]
    assert jobs.run(queue, at_once=1) == []
    assert not (tmp_path / "busy").exists()


def test_the_cores_are_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    script = "echo $TF_NUM_INTRAOP_THREADS $TF_NUM_INTEROP_THREADS"
    jobs.run([shell(tmp_path, "a", script)], at_once=2)
    printed = (tmp_path / "a.log").read_text().splitlines()[1:]
    assert printed == ["3 3"]
    assert jobs.threads_each(at_once=11) == 1


def test_a_failure_shows_the_end_of_its_output_and_stops_no_other(
    tmp_path, capsys
):
    script = "seq 100; echo no memory >&2; exit 3"
    bad = shell(tmp_path, "bad", script)
    good = shell(tmp_path, "good", "true")
    failed = jobs.run([bad, good], at_once=1)
    printed = capsys.readouterr().out
    assert failed == ["bad"]
    assert "bad: FAILED: exit code 3\n    87\n    88\n" in printed
    assert "    100\n    no memory" in printed
    assert "good: good is fine" in printed


def test_progress_counts_and_estimates(tmp_path, capsys, monkeypatch):
    """A second a unit of weight, of which 600 are left for two at a time."""
    monkeypatch.setattr(jobs._Running, "seconds", 10.0)
    queue = jobs._Queue(
        [shell(tmp_path, "a", "true", weight=10.0)]
        + [shell(tmp_path, name, "true", weight=300.0) for name in "bc"],
        at_once=2,
    )
    queue.start_what_can()
    for running in queue.running:
        running.process.wait()
    queue.waiting += [running.job for running in queue.running[1:]]
    del queue.running[1:]
    queue.collect()
    assert capsys.readouterr().out == (
        "[1/3] a: a is fine, 0.2 min; about 5 min left\n"
    )


def test_a_stop_ends_the_jobs_that_are_running(tmp_path):
    # The job itself asks this process to stop, as Ctrl-C or `kill` would.
    script = "echo $$ > pid; kill -TERM $PPID; exec sleep 60"
    with pytest.raises(KeyboardInterrupt):
        jobs.run([shell(tmp_path, "a", script)], at_once=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_link_for_a_log_is_not_written_through(tmp_path, capsys):
    (tmp_path / "a.log").symlink_to(tmp_path / "victim")
    assert jobs.run([shell(tmp_path, "a", "true")], 1) == ["a"]
    assert "a.log is a link" in capsys.readouterr().out
    assert not (tmp_path / "victim").exists()


def test_a_hard_link_for_a_log_is_not_written_to(tmp_path):
    (tmp_path / "victim").write_text("# log of a, by nonlocal-tf ablations\n")
    (tmp_path / "a.log").hardlink_to(tmp_path / "victim")
    assert jobs.run([shell(tmp_path, "a", "echo b")], 1) == []
    assert "b" in (tmp_path / "a.log").read_text()
    assert (tmp_path / "victim").read_text().count("\n") == 1


def test_a_log_replaces_no_file_of_the_user(tmp_path, capsys):
    (tmp_path / "a.log").write_text("theirs")
    assert jobs.run([shell(tmp_path, "a", "true")], 1) == ["a"]
    assert "a.log exists and is not a log of a" in capsys.readouterr().out
    assert (tmp_path / "a.log").read_text() == "theirs"
    for _ in range(2):
        assert jobs.run([shell(tmp_path, "b", "true")], 1) == []
