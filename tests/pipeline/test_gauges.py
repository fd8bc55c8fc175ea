"""The tally of a job's epochs: whenever somebody looks, it is what the log adds up to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmr.pipeline.gauges import Tally
from asyncmr.storage.epochs import Epoch, EpochLog

STAGES = st.sampled_from(["map", "reduce"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), STAGES, st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just("forget"), STAGES, st.integers(0, 9), st.just(0)),
        st.tuples(st.just("look"), STAGES, st.just(0), st.just(0)),
    )
)


@given(EVENTS)
def test_every_epoch_counts_once_however_often_somebody_looks(events):
    log = EpochLog()
    tally = Tally(log)
    for event, stage, task, amount in events:
        if event == "commit":
            log.commit(Epoch(stage, task, 1, facts={"bytes": amount}, beside={"combine": {"pairs": amount}}))
        elif event == "forget":
            log.forget(stage, task)
        else:
            tally.update()
    tally.update()
    for stage in ("map", "reduce", "combine"):
        assert tally.of(stage) == log.facts(stage)
