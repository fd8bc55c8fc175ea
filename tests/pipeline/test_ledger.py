"""The books of a job: how far it is."""

from __future__ import annotations

from asyncmr.pipeline.ledger import Ledger


def test_more_than_was_announced_is_not_more_than_all():
    ledger = Ledger("job")
    for done in (0, 4, 7):
        ledger.advance("map", done, 10, "B")
    assert ledger.how_far("map") == (11, 11, "B")


def test_what_is_not_known_is_not_guessed():
    ledger = Ledger("job")
    ledger.advance("map", 4, None, "B")
    assert ledger.how_far("map") == (4, None, "B")
