from __future__ import annotations

import resource

import pytest

from asyncmr.errors import UsageError
from asyncmr.workers import Pool
from asyncmr.workers.descriptors import OTHERS, PER_WORKER, check_descriptors


def test_more_workers_than_there_can_be_open_files_for_are_refused():
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    check_descriptors(1)
    with pytest.raises(
        UsageError, match=rf"workers={limit} need .* may have {limit}, of which \d+ are in use"
    ):
        check_descriptors(limit)


def test_without_a_limit_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    check_descriptors(10**9)


async def test_a_pool_that_is_refused_has_started_nothing(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (PER_WORKER + OTHERS, 1000))
    with pytest.raises(UsageError, match="use fewer workers"):
        async with Pool(1):
            raise AssertionError("it was not refused")


async def test_threads_need_no_open_files(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1, 1))
    async with Pool(8, "thread"):
        pass
