"""Programs for the tests of the pool. Workers import this file, so it imports little."""

# mypy: no-warn-unreachable

from __future__ import annotations

import ctypes
import gc
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import asyncmr.counters


class Echo:
    """Gives back what it is fed, and the argument."""

    def run(self, argument, feed):
        rounds = 0
        for number, views in enumerate(feed):
            rounds += 1
            for view in views:
                yield (number, len(view)), bytes(view)
        return argument, rounds

    def count(self, argument, feed):
        asyncmr.counters.counter("tests", "calls").increment(argument)
        return None
        yield

    def flood(self, argument, feed):
        """`argument` items of 100 bytes, without looking at the input."""
        for number in range(argument):
            yield number, b"x" * 100
        return "flooded"

    def tidy(self, argument, feed):
        """Writes a file when it is closed."""
        try:
            for _ in feed:
                yield 0, b"x" * 1000
        finally:
            Path(argument).write_text("closed")

    def choose(self, argument, feed):
        """Asks for the inputs that `argument` lists, round by round."""
        for wanted in argument:
            [view] = feed.ask(wanted)
            yield wanted, bytes(view)
        return "asked"

    def keep(self, argument, feed):
        """Looks at the first round's view after it has asked for the second."""
        first = next(feed)[0]
        next(feed)
        return bytes(first)
        yield

    def write(self, argument, feed):
        next(feed)[0][0] = 1
        return None
        yield

    def stubborn(self, argument, feed):
        """Refuses to be closed."""
        while True:
            try:
                yield 0, b"x" * 1000
            except GeneratorExit:
                time.sleep(3600)

    def litter(self, argument, feed):
        """Makes cycles, and says at each step how many are still there."""
        for _ in range(argument):
            for _ in range(20_000):
                Cycle()
            yield Cycle.alive, b"x" * 1000
        return gc.isenabled()

    def cycles(self, argument, feed):
        return Cycle.alive
        yield

    def where(self, argument, feed):
        return os.getpid()
        yield

    def print(self, argument, feed):
        sys.stdout.write("from the worker\n")
        return sys.stdin.read()
        yield

    def wait(self, argument, feed):
        """Runs until the file `argument` exists."""
        while not os.path.exists(argument):
            time.sleep(0.005)
        return None
        yield

    def hang(self, argument, feed):
        """Says that it runs by writing its pid to the file `argument`, then holds the GIL for ever."""
        if argument:
            part = Path(f"{argument}.part")
            part.write_text(str(os.getpid()))
            part.rename(argument)
        re.match(r"(a+)+$", "a" * 60 + "b")
        yield

    def parent_of_sleeper(self, argument, feed):
        """As `hang`, with a child process of its own, whose pid is written too."""
        child = subprocess.Popen(["sleep", "3600"])
        part = Path(f"{argument}.part")
        part.write_text(f"{os.getpid()} {child.pid}")
        part.rename(argument)
        re.match(r"(a+)+$", "a" * 60 + "b")
        yield

    def die(self, argument, feed):
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    def answer_and_die(self, argument, feed):
        """Is killed when its answer is on its way."""
        main = threading.get_ident()

        def kill_when_idle():
            while sys._current_frames()[main].f_code.co_name != "receive":
                time.sleep(0.0005)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=kill_when_idle, daemon=True).start()
        yield 0, b"the answer"
        return "answered"

    def die_before_its_child(self, argument, feed):
        """Is killed, and leaves a child that holds all its descriptors open, whose pid it writes."""
        child = os.fork()
        if not child:
            os.setsid()
            signal.pause()
        Path(argument).write_text(str(child))
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    def die_in_result(self, size, feed):
        """Is killed as soon as the worker is inside the write of its result."""
        main = threading.get_ident()

        def kill_while_writing():
            while True:
                frame = sys._current_frames()[main]
                if frame.f_code.co_name == "send":
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.0005)

        threading.Thread(target=kill_while_writing, daemon=True).start()
        yield 0, bytes(size)
        return None


class Hoard:
    """Holds a large table, and a little that outlives it among what the table frees; tells what it took."""

    def run(self, argument, feed):
        self.kept = []
        table = {}
        for number in range(argument):
            table[number] = "x" * 700 + str(number)
            if number % 600 == 0:
                self.kept.append(bytes(1000))
        held = [line for line in Path("/proc/self/smaps_rollup").read_text().splitlines() if "Rss:" in line]
        return int(held[0].split()[1]) * 1024
        yield


class Cycle:
    alive = 0

    def __init__(self):
        self.me = self
        Cycle.alive += 1

    def __del__(self):
        Cycle.alive -= 1


class TwoArguments(Exception):
    def __init__(self, first, second):
        super().__init__(first)


class KeywordOnly(Exception):
    def __init__(self, *, reason):
        self.facts = {"reason": reason}
        super().__init__(reason)


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class BadStr(Exception):
    def __str__(self):
        raise SystemExit("even str() fails")


class Raise:
    """Raises what its method is called."""

    def two_arguments(self, argument, feed):
        raise TwoArguments("one", "two")
        yield

    def keyword_only(self, argument, feed):
        raise KeywordOnly(reason="because")
        yield

    def unpicklable(self, argument, feed):
        raise Unpicklable
        yield

    def bad_str(self, argument, feed):
        raise BadStr
        yield

    def system_exit(self, argument, feed):
        sys.exit(3)
        yield

    def keyboard_interrupt(self, argument, feed):
        raise KeyboardInterrupt
        yield

    def memory_error(self, argument, feed):
        raise MemoryError
        yield

    def recursion_error(self, argument, feed):
        def deeper(n):
            return deeper(n + 1)

        deeper(0)
        yield

    def value_error(self, argument, feed):
        next(feed)
        yield 0, b"lost"
        raise ValueError("x" * 5000)


def crash():
    ctypes.string_at(0)


def leave():
    os._exit(3)


def fail():
    raise ValueError("on purpose")


ACTIONS = {"crash": crash, "exit": leave, "raise": fail}


class Trap:
    """An object that acts when it is pickled or unpickled inside a worker."""

    def __init__(self, action, armed=True):
        self.action = action
        self.armed = armed

    def __reduce__(self):
        return (_spring if self.armed else Trap), (self.action,)

    def run(self, argument, feed):
        ACTIONS[self.action]()
        yield

    def result(self, argument, feed):
        return PickleTrap(self.action)
        yield


class PickleTrap:
    def __init__(self, action):
        self.action = action

    def __reduce__(self):
        ACTIONS[self.action]()


def _spring(action):
    ACTIONS[action]()


class Talk:
    """Prints and logs."""

    def __init__(self, name="", handler=False):
        self.name = name
        self.handler = handler

    def __setstate__(self, state):
        self.__dict__ = state
        if self.handler:
            logging.getLogger("tests.talk").addHandler(logging.StreamHandler())

    def say(self, argument, feed):
        for stream in (sys.stdout, sys.stderr):
            stream.write(argument)
        return None
        yield

    def by_descriptor(self, argument, feed):
        os.write(1, f"{argument}\n".encode())
        return None
        yield

    def by_child(self, argument, feed):
        subprocess.run(["echo", argument], check=True)
        return None
        yield

    def crash(self, argument, feed):
        sys.stdout.write(f"{argument}\n")
        crash()
        yield

    def leave(self, argument, feed):
        sys.stdout.write(f"{argument}\n")
        leave()
        yield

    def kill(self, argument, feed):
        sys.stdout.write(f"{argument}\n")
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    def log(self, argument, feed):
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            logging.getLogger("tests.talk").exception(argument, "late", extra={"user": "me"})
        return None
        yield

    def log_from_child(self, argument, feed):
        child = os.fork()
        if not child:
            logging.getLogger("tests.talk").error(argument)
            os._exit(0)
        os.waitpid(child, 0)
        return None
        yield

    def debug(self, argument, feed):
        logging.getLogger("tests.talk").debug(argument)
        return None
        yield

    def warn(self, argument, feed):
        warnings.warn(argument, stacklevel=1)
        return None
        yield

    @staticmethod
    def fail_to_start(*arguments):
        raise RuntimeError("no, I will not")
