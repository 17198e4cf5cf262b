"""Ctrl-C and SIGTERM: the first one ends what is under way in order, and nothing outlasts it by two seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
# How long the process gets to undo what it did.  A name server or a database that does not answer can hold the main
# thread for longer, in C, where no signal reaches it.
PATIENCE = 1.6
# How long it may take to say so.
SPEAKING = 0.2

Words = Callable[[KeyboardInterrupt], None]


class Terminated(KeyboardInterrupt):
    """SIGTERM came; like Ctrl-C it cancels the statement under way, so that transactions are rolled back in order."""


def code_of(stop: BaseException) -> int:
    """Return the exit code of an interruption."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def told(stop: BaseException) -> str:
    """Say what an interruption did."""
    how = "terminated" if isinstance(stop, Terminated) else "interrupted"
    return f"{how}: what was not committed is rolled back; run it again to go on"


class Interrupts:
    """The process's way to end: last words of the command under way, then a line for people; each is said once."""

    def __init__(self, say: Words) -> None:
        self._say: Words | None = say
        self._came = False
        self._words: Words | None = None
        self._speaking = threading.Lock()

    def watch(self) -> None:
        """Listen for signals from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if (
                signal.getsignal(number) is not signal.SIG_IGN
            ):  # as a shell does to what it puts in the background
                signal.signal(number, self._handle)
        heard, rung = os.pipe()
        os.set_blocking(rung, False)
        # It is written to as soon as a signal comes, even while no Python code runs that could handle it.
        signal.set_wakeup_fd(rung, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(heard,), name="interrupts", daemon=True).start()

    def over(self) -> bool:
        """Let nothing interrupt the process any more, for all is done but the leaving; tell whether anything did."""
        came, self._came = self._came, True
        return came

    @contextmanager
    def last_words(self, words: Words) -> Iterator[None]:
        """Have these said, if the block is interrupted, before anything else is."""
        self._words = words
        try:
            yield
        except KeyboardInterrupt as stop:
            self.speak(stop)
            raise
        finally:
            self._words = None

    @contextmanager
    def told_by(self, say: Words) -> Iterator[None]:
        """Have people told in this way, if the block is interrupted."""
        before, self._say = self._say, say
        try:
            yield
        except KeyboardInterrupt as stop:
            self.tell(stop)
            raise
        finally:
            self._say = before if self._say is say else self._say

    def speak(self, stop: KeyboardInterrupt) -> None:
        words, self._words = self._words, None
        self._once(words, stop)

    def tell(self, stop: KeyboardInterrupt) -> None:
        say, self._say = self._say, None
        self._once(say, stop)

    def _once(self, say: Words | None, stop: KeyboardInterrupt) -> None:
        with self._speaking:
            if say is not None:
                say(stop)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, once: a second signal must not disturb what the first one asked for."""
        if not self._came:
            self._came = True
            raise _stop(number)

    def _listen(self, heard: int) -> None:
        while number := os.read(heard, 1):
            # A command such as psql handles signals by itself.
            if signal.getsignal(number[0]) == self._handle:
                self._end(_stop(number[0]))

    def _end(self, stop: KeyboardInterrupt) -> None:
        """End the process from another thread, if it has not ended by itself in time."""
        time.sleep(PATIENCE)
        speaker = threading.Thread(target=self._speak_at_last, args=(stop,), daemon=True)
        speaker.start()
        speaker.join(SPEAKING)
        os._exit(code_of(stop))

    def _speak_at_last(self, stop: KeyboardInterrupt) -> None:
        """Say what is still to be said, unless it is being said to a pipe that nobody reads."""
        with suppress(Exception):
            self.speak(stop)
            self.tell(stop)
            with self._speaking:
                sys.stdout.flush()


def _stop(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def leave(code: int) -> None:
    """End the process at once, whatever its threads are waiting for."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
