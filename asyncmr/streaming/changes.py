"""What keepers say of an epoch, and of the room that they have made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from asyncmr.kernel.cold import Place
from asyncmr.kernel.sketch import Sketch
from asyncmr.pipeline.attempts import Item
from asyncmr.streaming.commit import Delta, Move


@dataclass(slots=True)
class Changes:
    """What an epoch changed in the tables. `keys`: how many a place has now. `left_out`: the keys that were not taken
    in. `full`: room should be made."""

    deltas: list[Delta] = field(default_factory=list)
    keys: dict[Place, int] = field(default_factory=dict)
    left_out: Sketch | None = None
    full: bool = False

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """What a keeper answered."""
        changes = cls()
        for meta, data in items:
            match meta:
                case ("delta" | "snapshot" as kind, group, pane, keys, returned):
                    changes.keys[group, pane] = keys
                    delta = Delta((group, pane), bytes(data), kind == "snapshot", returned)
                    changes.deltas.append(delta)
                case ("keys", group, pane, keys):
                    changes.keys[group, pane] = keys
                case ("left out",):
                    changes.left_out = Sketch(bytes(data))
                case ("full",):
                    changes.full = True
        return changes

    @classmethod
    def together(cls, found: Sequence[Self]) -> Self:
        """What all keepers answered."""
        changes = cls()
        for one in found:
            changes.deltas += one.deltas
            changes.keys |= one.keys
            if one.left_out is not None:
                changes.left_out = one.left_out.merged(changes.left_out or Sketch())
        changes.deltas.sort(key=lambda delta: delta.place)
        return changes


def moves_of(items: Iterable[Item]) -> tuple[list[Move], bool]:
    """What a keeper gave up, and whether there is more of it."""
    moves: dict[Place, Move] = {}
    more = False
    for meta, data in items:
        if meta == ("full",):
            more = True
            continue
        kind, group, pane, *rest = meta
        move = moves.setdefault((group, pane), Move((group, pane)))
        match kind, *rest:
            case ("stale",):
                move.stale = bytes(data)
            case ("rows", end):
                move.rows.append((bytes(data[:end]), bytes(data[end:])))
            case ("stay", cold):
                move.stays, move.cold = bytes(data), cold
    return list(moves.values()), more
