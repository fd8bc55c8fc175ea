"""What a torture run has done so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """`faults` and `errors` by kind. `hangs` and `leftovers` say what hung and what was left: nothing should."""

    runs: int = 0
    jobs: int = 0
    exact: int = 0
    cancelled: int = 0
    retries: int = 0
    resumed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    hangs: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"runs               {self.runs:>8,}",
                f"jobs               {self.jobs:>8,}",
                f"  exact            {self.exact:>8,}",
                f"  with typed error {self.errors.total():>8,}  {_listed(self.errors)}",
                f"  cancelled        {self.cancelled:>8,}",
                f"  resumed          {self.resumed:>8,}",
                f"attempts retried   {self.retries:>8,}",
                f"faults injected    {self.faults.total():>8,}  {_listed(self.faults)}",
                f"hangs              {len(self.hangs):>8,}  {' '.join(self.hangs)}",
                f"leftovers          {len(self.leftovers):>8,}  {' '.join(self.leftovers)}",
            ]
        )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
