"""The way of the data: source, mapper, combiner, shuffler, reducer, sink, each an actor in a file of its own.

Read `flow.py` first: it draws the way and is the only file that wires the stages. `messages.py` is what they
send each other, `attempts.py` how a task runs in a worker, is tried again, and commits, `feeding.py` how bytes
reach a worker, `blame.py` how a failure there becomes an error that a user can read, `limits.py` the sizes.
"""
