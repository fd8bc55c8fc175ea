"""Sessions behave the same in processes, threads and inline."""

# mypy: no-warn-unreachable

from __future__ import annotations

import asyncio
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmr.errors import ClosedError, UsageError
from asyncmr.workers import Pool, Program, RemoteError
from tests.workers.programs import Echo
from tests.workers.talking import run_script, talk, until

ECHO = Program(Echo())


@pytest.fixture(params=["process", "thread", "inline"])
async def pool(request):
    async with Pool(1, request.param, segment_size=1 << 16) as pool:
        yield pool


async def test_one_round_goes_in_and_its_items_and_result_come_out(pool):
    reply = await talk(pool, ECHO, "run", ("a", 1), [[b"one", b"", b"three"]])
    assert reply.items == [((0, 3), b"one"), ((0, 0), b""), ((0, 5), b"three")]
    assert reply.result == (("a", 1), 1)


async def test_a_generator_pulls_many_rounds(pool):
    rounds = [[str(n).encode()] for n in range(50)]
    reply = await talk(pool, ECHO, "run", None, rounds)
    assert [data for _, data in reply.items] == [data for [data] in rounds]
    assert reply.result == (None, 50)


async def test_the_worker_says_hungry_before_each_round_and_done_after_the_last(pool):
    async with pool.session(ECHO, "run") as session:
        replies = [await session.open([b"1"], last=False)]
        replies.append(await session.feed([b"2"]))
        replies.append(await session.feed([b"3"], last=True))
    assert [reply.state for reply in replies] == ["hungry", "hungry", "done"]


async def test_a_program_says_what_it_wants_next(pool):
    async with pool.session(ECHO, "choose", [(), (2, 5), ()]) as session:
        replies = [await session.open([b"1"], last=False)]
        replies.append(await session.feed([b"2"]))
        replies.append(await session.feed([b"3"], last=True))
    assert [reply.result for reply in replies] == [(2, 5), (), "asked"]


@pytest.mark.parametrize("rounds", [[[b"1"]], [[b"1"], [b"2"]]], ids=["direct", "fed"])
async def test_asking_after_the_last_round_is_an_error(pool, rounds):
    with pytest.raises(RemoteError, match="after the last round"):
        await talk(pool, ECHO, "choose", [()] * 3, rounds)


async def test_an_empty_last_round_only_ends_the_feed(pool):
    async with pool.session(ECHO, "run") as session:
        await session.open([b"1"], last=False)
        reply = await session.feed(last=True)
    assert reply.result == ((), 1)


@pytest.mark.parametrize("last", [True, False])
async def test_output_comes_in_replies_of_about_the_limit(pool, last):
    async with pool.session(ECHO, "flood", 100, reply_limit=1000) as session:
        replies = [await session.open([b""], last=last)]
        while replies[-1].state == "more":
            replies.append(await session.drain())
    assert [len(reply.items) for reply in replies[:-1]] == [7] * 14
    assert [meta for reply in replies for meta, _ in reply.items] == list(range(100))
    assert replies[-1].result == "flooded"


async def test_a_generator_that_never_looks_at_its_feed_is_simply_done(pool):
    async with pool.session(ECHO, "flood", 3) as session:
        reply = await session.open([b"unread"], last=False)
    assert (reply.state, len(reply.items)) == ("done", 3)


async def test_user_counters_come_with_the_end_of_their_session_alone(pool):
    assert (await talk(pool, ECHO, "count", 3)).counts == {("tests", "calls"): 3}
    assert (await talk(pool, ECHO, "count", 4, [[], []])).counts == {("tests", "calls"): 4}
    assert (await talk(pool, ECHO, "run")).counts == {}


@pytest.mark.parametrize("last", [True, False])
async def test_leaving_early_closes_the_generator_and_frees_the_worker(pool, tmp_path, last):
    trace = tmp_path / "closed"
    async with pool.session(ECHO, "tidy", str(trace), reply_limit=1) as session:
        assert (await session.open([b""], last=last)).state == "more"
    await until(trace.exists)
    await until(lambda: pool.stats().idle == 1)
    assert pool.stats().replaced == 0


async def test_leaving_while_hungry_closes_the_generator(pool, tmp_path):
    trace = tmp_path / "closed"
    async with pool.session(ECHO, "tidy", str(trace)) as session:
        assert (await session.open([b""], last=False)).state == "hungry"
    await until(trace.exists)
    assert (await talk(pool, ECHO, "flood", 1)).result == "flooded"


async def test_a_session_that_was_never_opened_gives_its_worker_back(pool):
    async with pool.session(ECHO, "run"):
        assert pool.stats().busy == 1
    assert pool.stats().idle == 1


async def test_a_round_is_read_only(pool):
    with pytest.raises(RemoteError, match="read-only"):
        await talk(pool, ECHO, "write", (), [[b"abc"]])


async def test_a_round_is_gone_once_the_next_one_was_asked_for(pool):
    with pytest.raises(RemoteError, match="released memoryview"):
        await talk(pool, ECHO, "keep", (), [[b"one"], [b"two"]])


async def test_segments_carry_input_like_bytes(pool):
    segment = await pool.segments.lease(10)
    segment.view[:10] = b"0123456789"
    reply = await talk(pool, ECHO, "run", (), [[segment.range(2, 3), b"and", segment.range(0, 10)]])
    segment.release()
    assert [data for _, data in reply.items] == [b"234", b"and", b"0123456789"]


async def test_a_session_that_is_over_says_so(pool):
    async with pool.session(ECHO, "run") as session:
        await session.open()
        with pytest.raises(ClosedError):
            await session.drain()


async def test_a_session_is_opened_once(pool):
    async with pool.session(ECHO, "run") as session:
        await session.open(last=False)
        with pytest.raises(ClosedError, match="once"):
            await session.open()


async def test_workers_do_not_share_the_hosts_object(pool):
    class Counting:
        calls = 0

        def run(self, argument, feed):
            self.calls += 1
            return self.calls
            yield

    mine = Counting()
    program = Program(mine)
    assert [(await talk(pool, program, "run")).result for _ in range(3)] == [1, 2, 3]
    assert mine.calls == 0


async def test_a_worker_forgets_old_programs_and_asks_for_them_again(pool):
    programs = [Program(lambda n=n: n) for n in range(20)]
    for program in [*programs, *programs]:
        with pytest.raises(RemoteError, match="has no attribute 'run'"):
            await talk(pool, program, "run")
    programs = [Program(Echo()) for _ in range(20)]
    for program in [*programs, *programs]:
        assert (await talk(pool, program, "flood", 1)).result == "flooded"


def test_a_program_that_cannot_be_pickled_is_refused_by_name():
    lock = sys.stdout

    def holds_a_file():
        return lock

    with pytest.raises(UsageError, match="holds_a_file"):
        Program([holds_a_file][0])


async def test_the_collector_is_off_during_a_session_and_cycles_go_between_its_steps():
    async with Pool(1) as pool:
        reply = await talk(pool, ECHO, "litter", 5, reply_limit=1)
        assert [alive for alive, _ in reply.items] == [20_000] * 5
        assert reply.result is False
        assert (await talk(pool, ECHO, "cycles")).result == 0


SCRIPT = """
import asyncio
from asyncmr.workers import Pool, Program
from tests.workers.programs import Echo
from tests.workers.talking import talk

async def main():
    async with Pool(1) as pool:
        print(repr((await talk(pool, Program(Echo()), "print")).result))

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_prints_go_to_standard_error_and_no_input_is_taken(tmp_path):
    script = await run_script(tmp_path / "job.py", SCRIPT)
    assert await script.communicate(b"for the host") == (b"''\n", b"from the worker\n")


rounds_of_bytes = st.lists(st.lists(st.binary(max_size=50), max_size=3), min_size=1, max_size=6)


@given(rounds=rounds_of_bytes, limit=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_any_rounds_come_back_whole_and_in_order_at_any_limit(rounds, limit):
    async def check():
        async with Pool(1, "thread") as pool:
            reply = await talk(pool, ECHO, "run", None, rounds, reply_limit=limit)
        assert [data for _, data in reply.items] == [data for buffers in rounds for data in buffers]

    asyncio.run(check())
