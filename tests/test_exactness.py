"""The result depends on the input alone: not on workers, sizes, memory, executor, or how tasks fell out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmr
from asyncmr import Engine
from asyncmr.pipeline.limits import Limits
from tests.family import JOBS, TOTAL_ORDER
from tests.oracle import oracle

RECORDS = st.lists(st.text(alphabet="abcdefgh \u00e9\U0001f600", max_size=12), max_size=60)
LIMITS = st.builds(
    Limits,
    fused=st.sampled_from([0, 256 * 1024]),
    fan_in=st.integers(2, 5),
    large_partial=st.sampled_from([0, 512]),
    share=st.sampled_from([1, 50, 4 << 20]),
    whole=st.sampled_from([1, 300, 8 << 20]),
    bucket=st.sampled_from([1, 100, 2 << 20]),
    merged=st.integers(2, 5),
    round=st.sampled_from([1, 200, 1 << 20]),
    shuffle=st.sampled_from([1, 500, 1 << 20]),
    split=st.just(1 << 20),
)


async def collected(job, records, *, per_task=None, **engine):
    async with Engine(**engine) as opened:
        return list(await opened.collect(job, asyncmr.records(records, records_per_task=per_task)))


@pytest.mark.parametrize("name", JOBS)
@given(
    records=RECORDS,
    limits=LIMITS,
    per_task=st.integers(1, 30),
    workers=st.integers(1, 3),
    partitions=st.integers(1, 9),
    executor=st.sampled_from(["inline", "thread"]),
    verify=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=25, deadline=None)
async def test_every_way_to_run_gives_the_oracles_pairs(
    name, records, limits, per_task, workers, partitions, executor, verify
):
    job = JOBS[name]
    if job.steps[-1].shuffles:
        job = job.replace(partitions=partitions)
    got = await collected(
        job, records, per_task=per_task, workers=workers, executor=executor, limits=limits, verify=verify
    )
    plain = await collected(job, records, workers=1, executor="inline")
    assert sorted(got, key=repr) == sorted(oracle(job, records), key=repr)
    assert got == plain


@given(records=RECORDS, limits=LIMITS, per_task=st.integers(1, 30), name=st.sampled_from(sorted(JOBS)))
@settings(max_examples=12, deadline=None)
async def test_processes_give_the_same_pairs_as_the_loops_own_thread(records, limits, per_task, name):
    job = JOBS[name]
    processes = await collected(job, records, per_task=per_task, workers=2, limits=limits)
    inline = await collected(job, records, workers=1, executor="inline")
    assert processes == inline


@pytest.mark.parametrize("name", ["values in order", "fold"])
async def test_the_hash_key_orders_the_output_and_changes_nothing_else(name):
    records = [chr(97 + number) * 3 for number in range(26)]
    plain = await collected(JOBS[name], records, workers=1, executor="inline")
    keyed = await collected(JOBS[name], records, workers=1, executor="inline", hash_key=12345)
    assert plain != keyed
    assert sorted(plain) == sorted(keyed)


async def test_partitions_only_cut_the_same_order():
    records = ["abcdefgh" * 2] * 5
    few = await collected(JOBS["fold"].replace(partitions=1), records, workers=1, executor="inline")
    many = await collected(JOBS["fold"].replace(partitions=50), records, workers=1, executor="inline")
    assert few == many


@pytest.mark.parametrize("name", TOTAL_ORDER)
@given(records=RECORDS, limits=LIMITS, per_task=st.integers(1, 30), partitions=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
async def test_a_total_order_is_sorted_from_part_to_part_whatever_is_sampled(
    name, records, limits, per_task, partitions
):
    job = JOBS[name].replace(partitions=partitions)
    want = sorted(oracle(job, records), key=lambda pair: pair[0])  # stable: equal keys stay in input order
    for given_records in (records, iter(records)):
        got = await collected(
            job, given_records, per_task=per_task, workers=2, executor="inline", limits=limits
        )
        assert got == want
