"""What a test suite of jobs needs: `check_reducer` tells whether a combiner, fold or aggregator is one."""

from asyncmr.testing.reducers import check_reducer

__all__ = ["check_reducer"]
