"""The project's own benchmark: asyncmr beside what a user would pick instead. Start it with `scripts/bench`.

What is measured: `functions` (the user functions that every contender calls), `workloads` (the table of them),
`corpora` (their input, made here), `oracle` (what is right), `peers` (one contender a file).
How: `child` is the measured process, `monitor` watches it (with `tree` and `cgroups`), `running` starts both,
`checking` compares the output with the oracle.
The studies: `comparison` (the table), `memory` (time against memory, and one cgroup), `growth`, `hostloop`, and of
streams `freshness` (how soon a word is counted; `paced` is its process) and `day` (what is held hour by hour; `hours`).
`table` and `plot` show them; `cli` chooses.
"""
