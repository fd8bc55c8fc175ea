"""DuckDB: what is possible where the work can be said in SQL, without Python functions."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.task import Peer, Task

# A line as a column: a delimiter and a quote that do not occur.
_LINES = (
    "read_csv([{paths}], header=false, columns={{'line': 'VARCHAR'}}, delim='\x01', quote='', escape='', "
    "auto_detect=false, strict_mode=false, nullstr='\x02')"
)
_LOG = "read_ndjson([{paths}], columns={{'user': 'VARCHAR', 'bytes': 'BIGINT'}})"

_WORD_COUNT = """
select word, count(*) from (select unnest(string_split(line, ' ')) as word from {lines}) group by word"""
_POSTINGS = """
select split_part(line, '\t', 1)::ubigint as document,
       unnest(list_distinct(string_split(split_part(line, '\t', 2), ' '))) as word
from {lines}"""
_INDEX = f"""
select word, list_aggregate(list_sort(list(document)), 'string_agg', ' ') from ({_POSTINGS}) group by word"""
_FREQUENCIES = f"""
select word, count(*) || ' ' || sum(document)::bigint from ({_POSTINGS}) group by word"""
_TRAFFIC = """
select "user", printf('%d %.3f %d', sum(bytes)::bigint, sum(bytes)::bigint / count(*), max(bytes))
from {log} group by 1"""
_SORT = "select line from {lines} order by line"
_GROUPS = """
select split_part(line, '\t', 1), count(*) || ' ' || sum(substr(split_part(line, '\t', 2), 1, 6)::bigint)::bigint
from {lines} group by 1"""


def _query(text: str, *, ordered: bool = False) -> Callable[[Task], None]:
    def run(task: Task) -> None:
        import duckdb

        connection = duckdb.connect()
        task.begins()
        connection.execute(f"set threads={task.workers}")
        connection.execute(f"set temp_directory='{task.scratch}'")
        connection.execute(f"set preserve_insertion_order={str(ordered).lower()}")
        if task.memory is not None:
            connection.execute(f"set memory_limit='{task.memory // 1024} KiB'")
        paths = ", ".join(f"'{path}'" for path in task.inputs)
        query = text.format(lines=_LINES.format(paths=paths), log=_LOG.format(paths=paths))
        connection.execute(
            f"copy ({query}) to '{task.part(0)}' (format csv, header false, delim '\t', quote '', escape '')"
        )

    return run


_groups = _query(_GROUPS)
PEER = Peer(
    "DuckDB (SQL)",
    {
        "W1": _query(_WORD_COUNT),
        "W2": _query(_INDEX),
        "W3": _query(_TRAFFIC),
        "W4": _query(_SORT, ordered=True),
        "wordcount": _query(_WORD_COUNT),
        "index": _query(_FREQUENCIES),
        "sort": _query(_SORT, ordered=True),
        "hot": _groups,
        "unique": _groups,
    },
    modules=("duckdb",),
)
