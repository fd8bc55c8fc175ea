"""GNU sort, with tr, uniq and awk around it: what a shell can do in bounded memory."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable

from benchmarks.peers.task import Peer, Task

_MIB = 1 << 20
_DEFAULT = 2048 * _MIB

_WORD_COUNT = r"""
cat {inputs} | tr -s ' ' '\n' | {sort} | uniq -c | {awk} '{{print $2 "\t" $1}}' > {output}"""
# A word may occur twice in a document, so the lines are made unique before documents are counted.
_POSTINGS = r"""
{awk} -F'\t' '{{n = split($2, w, " "); for (i = 1; i <= n; i++) print w[i] "\t" $1}}' {inputs} |
{sort} -u -t "$(printf '\t')" -k1,1 -k2,2n |"""
_INDEX = (
    _POSTINGS
    + r"""
{awk} -F'\t' '$1 "" != key "" {{if (NR > 1) printf "\n"; key = $1; printf "%s\t%s", $1, $2; next}}
              {{printf " %s", $2}} END {{if (NR) printf "\n"}}' > {output}"""
)
_SUMMARY = r"""
{awk} -F'\t' 'function out() {{printf "%s\t%.0f %.0f\n", key, n, sum}}
              $1 "" != key "" {{if (NR > 1) out(); key = $1; n = sum = 0}}
              {{n++; sum += substr($2, 1, {width})}} END {{if (NR) out()}}' > {output}"""
_FREQUENCIES = _POSTINGS + _SUMMARY.replace("{width}", "12")
_GROUPS = r"""
{sort} -t "$(printf '\t')" -k1,1 {inputs} |""" + _SUMMARY.replace("{width}", "6")
_SORT = "{sort} -o {output} {inputs}"


def _shell(script: str) -> Callable[[Task], None]:
    def run(task: Task) -> None:
        task.begins()
        memory = task.memory or _DEFAULT
        sort = f"sort --parallel={task.workers} -S {memory // 1024}K -T {shlex.quote(str(task.scratch))}"
        text = script.format(
            inputs=" ".join(shlex.quote(str(path)) for path in task.inputs),
            output=shlex.quote(str(task.part(0))),
            sort=sort,
            awk="mawk",
        )
        subprocess.run(["sh", "-c", text], check=True, env={**os.environ, "LC_ALL": "C"})

    return run


PEER = Peer(
    "GNU sort (shell)",
    {
        "W1": _shell(_WORD_COUNT),
        "W2": _shell(_INDEX),
        "W4": _shell(_SORT),
        "wordcount": _shell(_WORD_COUNT),
        "index": _shell(_FREQUENCIES),
        "sort": _shell(_SORT),
        "hot": _shell(_GROUPS),
        "unique": _shell(_GROUPS),
    },
    commands=("sort", "mawk"),
)
