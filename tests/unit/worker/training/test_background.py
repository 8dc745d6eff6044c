"""The thread that writes while the run continues to train."""

import threading

import pytest

from worker.training.background import BackgroundWriter


def test_everything_is_written_in_order_and_before_the_end() -> None:
    written: list[int] = []
    with BackgroundWriter() as writer:
        for number in range(50):
            writer.write(lambda number=number: written.append(number))  # type: ignore[misc]
        writer.finish()
        assert written == list(range(50))
        writer.write(lambda: written.append(50))
    assert written == list(range(51))


def waits(for_: threading.Event) -> None:
    for_.wait(60)


def fail() -> None:
    raise OSError(28, "no space left")


def test_an_error_comes_out_in_the_runs_own_thread_when_it_waits() -> None:
    writer = BackgroundWriter()
    writer.write(fail)
    with pytest.raises(OSError, match="no space left"):
        writer.finish()
    with pytest.raises(OSError, match="no space left"):
        writer.write(fail)
    with pytest.raises(OSError, match="no space left"):
        writer.__exit__(None, None, None)


def test_behind_an_error_nothing_is_written() -> None:
    written: list[str] = []
    go_on = threading.Event()
    writer = BackgroundWriter()
    writer.write(lambda: waits_and_fails(go_on))
    writer.write(lambda: written.append("behind the error"))
    go_on.set()
    with pytest.raises(OSError, match="no space left"):
        writer.__exit__(None, None, None)
    assert written == []


def waits_and_fails(go_on: threading.Event) -> None:
    go_on.wait(60)
    fail()


def test_whoever_brings_more_than_may_wait_waits_himself() -> None:
    may_go_on = threading.Event()
    brought: list[int] = []
    with BackgroundWriter() as writer:
        assert not writer.is_busy

        def bring() -> None:
            for number in range(4):
                writer.write(lambda: waits(may_go_on))
                brought.append(number)

        bringer = threading.Thread(target=bring)
        bringer.start()
        bringer.join(0.3)
        assert bringer.is_alive(), "one is being written, two wait, and the fourth does not fit"
        assert writer.is_busy
        assert len(brought) <= 3
        assert writer.unfinished >= len(brought)
        may_go_on.set()
        bringer.join(60)
        writer.finish()
        assert len(brought) == 4
        assert not writer.is_busy
        assert writer.seconds.usual > 0


def test_after_it_gave_up_nothing_more_is_begun() -> None:
    written: list[str] = []
    with BackgroundWriter() as writer:
        writer.give_up()
        writer.write(lambda: written.append("void"))
        writer.finish()
    assert written == []


def test_a_run_that_ends_in_an_error_writes_what_is_being_written_and_no_more() -> None:
    written: list[str] = []
    started, go_on = threading.Event(), threading.Event()

    def first() -> None:
        started.set()
        go_on.wait(60)
        written.append("begun before")

    writer = BackgroundWriter()
    writer.write(first)
    writer.write(lambda: written.append("void"))
    started.wait(60)
    threading.Timer(0.1, go_on.set).start()
    writer.__exit__(RuntimeError, RuntimeError("superseded"), None)
    assert written == ["begun before"]
