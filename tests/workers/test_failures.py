"""What a program raises, and how a worker may die, is told by a typed error; the pool stays usable."""

from __future__ import annotations

import pytest

from asyncmr.cgroups import out_of_memory_kills
from asyncmr.workers import Pool, Program, RemoteError, SlotDied
from asyncmr.workers.failures import likely_cause
from tests.workers.programs import Echo, Raise, Trap
from tests.workers.talking import talk

ECHO = Program(Echo())
RAISE = Program(Raise())


@pytest.mark.parametrize(
    ("method", "type_name", "message"),
    [
        ("two_arguments", "tests.workers.programs.TwoArguments", "one"),
        ("keyword_only", "tests.workers.programs.KeywordOnly", "because"),
        ("unpicklable", "tests.workers.programs.Unpicklable", "holds a lock"),
        ("bad_str", "tests.workers.programs.BadStr", "<its str() failed>"),
        ("system_exit", "SystemExit", "3"),
        ("keyboard_interrupt", "KeyboardInterrupt", ""),
        ("memory_error", "MemoryError", ""),
        ("recursion_error", "RecursionError", "maximum recursion depth exceeded"),
    ],
)
@pytest.mark.parametrize("executor", ["process", "thread", "inline"])
@pytest.mark.parametrize("rounds", [[[b"1"]], [[b"1"], [b"2"]]], ids=["direct", "fed"])
async def test_exception_zoo(executor, method, type_name, message, rounds):
    async with Pool(1, executor) as pool:
        with pytest.raises(RemoteError) as caught:
            await talk(pool, RAISE, method, (), rounds)
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        assert pool.stats().replaced == 0
    error = caught.value
    assert error.type_name == type_name
    assert error.message.startswith(message)
    assert f"in {method}" in error.traceback_text
    assert "asyncmr/workers" not in error.traceback_text


async def test_the_facts_of_an_exception_cross():
    async with Pool(1) as pool:
        with pytest.raises(RemoteError) as caught:
            await talk(pool, RAISE, "keyword_only")
    assert caught.value.facts == {"reason": "because"}


async def test_a_long_message_is_cut():
    async with Pool(1) as pool:
        with pytest.raises(RemoteError) as caught:
            await talk(pool, RAISE, "value_error", (), [[b"1"]])
    assert caught.value.message == "x" * 1997 + "..."
    assert len(caught.value.traceback_text) <= 20_000


OUTCOMES = {
    "crash": (SlotDied, "segmentation fault"),
    "exit": (SlotDied, r"os\._exit\(3\)"),
    "raise": (RemoteError, "on purpose"),
}


@pytest.mark.parametrize("action", OUTCOMES)
@pytest.mark.parametrize("place", ["unpickling", "running"])
async def test_pickle_matrix(action, place):
    kind, text = OUTCOMES[action]
    async with Pool(1) as pool:
        with pytest.raises(kind, match=text):
            await talk(pool, Program(Trap(action, armed=place == "unpickling")), "run")
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


@pytest.mark.parametrize("action", OUTCOMES)
async def test_a_result_that_is_not_a_builtin_is_refused_without_pickling_it(action):
    async with Pool(1) as pool:
        with pytest.raises(RemoteError, match="must be builtins"):
            await talk(pool, Program(Trap(action, armed=False)), "result")
        assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"
        assert pool.stats().replaced == 0


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [(-9, "SIGKILL"), (-11, "segmentation fault"), (-64, "signal 64"), (3, "3"), (None, "unknown")],
)
def test_an_exit_code_is_told_in_words(exitcode, text):
    assert text in likely_cause(exitcode)


@pytest.mark.parametrize(
    ("out_of_memory", "text"),
    [(None, "often the out-of-memory killer"), (True, "was out of memory"), (False, "by somebody")],
)
def test_what_the_kernel_says_of_a_kill_is_told(out_of_memory, text):
    assert text in likely_cause(-9, out_of_memory)
    assert text not in likely_cause(-11, out_of_memory)


async def test_a_worker_that_was_killed_while_memory_was_left_says_so():
    if out_of_memory_kills() is None:
        pytest.skip("this kernel does not count its out-of-memory kills")
    async with Pool(1) as pool:
        with pytest.raises(SlotDied, match=r"SIGKILL\) by somebody; the kernel had memory left"):
            await talk(pool, ECHO, "die")
