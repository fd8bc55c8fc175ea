"""The way of the data: source, mapper, combiner, shuffler, reducer, sink, each an actor in a file of its own.

Read `flow.py` first: it draws the way of one step and is the only file that wires the stages. `job_flow.py` lets the
steps follow one another, `publication.py` shows what came of them. `messages.py` is what the stages send each other,
`attempts.py` how a task runs in a worker and is tried again (with `racing.py` and `stragglers.py`: beside a slow one;
with `suspects.py` and `trails.py`: without the records that it fails on), `ledger.py` how it commits, `feeding.py` how
bytes reach a worker, `blame.py` how a failure there becomes an error that a user can read, `limits.py` the sizes.
`keeping.py`, `resuming.py` and `fingerprint.py` are for jobs that can be resumed.
"""
