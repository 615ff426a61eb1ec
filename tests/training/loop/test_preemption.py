import os
import signal

import pytest

from training.loop.preemption import Preempted, Sigterm


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_signal_is_an_exception():
    with Sigterm().handled(), pytest.raises(Preempted):
        terminate()


def test_in_training_it_waits_for_the_end_of_a_step():
    sigterm = Sigterm()
    steps = []
    with sigterm.handled(), sigterm.deferred():
        terminate()
        steps.append("was finished")
    assert steps == ["was finished"]
    assert sigterm.requested


def test_afterwards_the_signal_does_what_it_did():
    before = signal.getsignal(signal.SIGTERM)
    with Sigterm().handled():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
