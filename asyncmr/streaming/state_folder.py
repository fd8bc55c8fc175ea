"""Where the state of a stream lies."""

from __future__ import annotations

from asyncmr.storage.journal_folder import JournalFolder


class StateFolder(JournalFolder):
    """The folder of a stream's state."""

    what = "state of a stream"
    user = "this stream"
    database_name = "state.sqlite"
    has_blocks = False
