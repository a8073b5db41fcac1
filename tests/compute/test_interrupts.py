from __future__ import annotations

import os
import signal
import time
import weakref

import pytest

from phaseloom.compute.interrupts import repeated_interrupts


class Thing:
    pass


def test_an_interrupt_lost_in_a_callback_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # the handler runs here, and what it raises is dropped

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), repeated_interrupts():
        thing = Thing()
        reference = weakref.ref(thing, interrupted)
        del thing
        assert reference() is None
        time.sleep(5)
        raise AssertionError("nobody interrupted")
    assert signal.getsignal(signal.SIGINT) is before
    assert "Traceback" not in capsys.readouterr().err


def test_without_an_interrupt_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with repeated_interrupts():
        pass
    assert signal.getsignal(signal.SIGALRM) is before
