from __future__ import annotations

from asyncmr.storage.epochs import Epoch, EpochLog


def test_the_first_attempt_to_commit_is_the_task() -> None:
    log = EpochLog()
    assert log.commit(Epoch("map", 0, attempt=2, counts={("g", "n"): 1}))
    assert not log.commit(Epoch("map", 0, attempt=1, counts={("g", "n"): 10}))
    assert [epoch.attempt for epoch in log.epochs("map")] == [2]
    assert log.counters() == {("g", "n"): 1}


def test_the_same_epoch_commits_once() -> None:
    log, epoch = EpochLog(), Epoch("map", 0, attempt=1)
    assert [log.commit(epoch), log.commit(epoch)] == [True, False]


def test_stages_count_their_own_tasks() -> None:
    log = EpochLog()
    for task in (3, 1, 2):
        log.commit(Epoch("map", task, attempt=1))
    log.commit(Epoch("reduce", 1, attempt=1))
    assert [log.committed(stage) for stage in ("map", "reduce", "combine")] == [3, 1, 0]
    assert [epoch.task for epoch in log.epochs("map")] == [1, 2, 3]


def test_counters_add_up_over_stages_and_facts_over_one() -> None:
    log = EpochLog()
    log.commit(Epoch("map", 0, 1, counts={("a", "x"): 1}, facts={"records": 5}))
    log.commit(Epoch("map", 1, 1, counts={("a", "x"): -3, ("b", "x"): 1}, facts={"records": 2, "bytes": 7}))
    log.commit(Epoch("reduce", 0, 1, counts={("a", "x"): 4}, facts={"records": 100}))
    assert log.counters() == {("a", "x"): 2, ("b", "x"): 1}
    assert log.facts("map") == {"records": 7, "bytes": 7}
