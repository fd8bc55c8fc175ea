"""Where the lines of a stream come from.

    from asyncmr.streaming.feeds import TailFeed, feed_of

    Stream(job, [TailFeed("/var/log/app.log"), feed_of("tcp://127.0.0.1:9000")], state="counts")

spec.py                 "tail:/var/log/app.log" and the like -> a feed
tail.py                 a log through its rotations: log_files.py (the list that is followed), file_mark.py, rotated.py
folder.py               the files of a folder, new ones too: folder_files.py, done_files.py
standard_input.py       what is piped in
listening.py            TCP and UNIX sockets: clients.py (who is connected), addresses.py (binding)
feed_of_items.py        any async iterable; brokers

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmr.lazy import loading

if TYPE_CHECKING:
    from asyncmr.streaming.feeds.feed_of_items import FeedOf
    from asyncmr.streaming.feeds.folder import FolderFeed
    from asyncmr.streaming.feeds.listening import TCPFeed, UnixFeed
    from asyncmr.streaming.feeds.spec import feed_of
    from asyncmr.streaming.feeds.standard_input import StandardInputFeed
    from asyncmr.streaming.feeds.tail import TailFeed

__all__ = ["FeedOf", "FolderFeed", "StandardInputFeed", "TCPFeed", "TailFeed", "UnixFeed", "feed_of"]

_HOME = {
    "FeedOf": "streaming.feeds.feed_of_items",
    "FolderFeed": "streaming.feeds.folder",
    "StandardInputFeed": "streaming.feeds.standard_input",
    "TCPFeed": "streaming.feeds.listening",
    "TailFeed": "streaming.feeds.tail",
    "UnixFeed": "streaming.feeds.listening",
    "feed_of": "streaming.feeds.spec",
}

__getattr__ = loading(__name__, _HOME)
