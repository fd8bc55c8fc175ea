"""Where bytes wait and what they may take: memory, disk, and the log of what was committed.

budget.py      the bytes an engine may hold, and the jobs' shares of them
sizes.py       how many bytes those are when nobody says, and what a cgroup allows
disk.py        file I/O off the event loop
folder.py      private folders that a dead process leaves to the next one's sweep
spill.py       the way of blocks to disk
spill_file.py  one file of blocks
compression.py codecs for what is spilled
extents.py     pieces of spill files, read and checked
block.py       bytes that wait together, cut into pieces
runs.py        blocks that wait in memory or on disk
epochs.py      the commit path

Of a job that can be resumed:

journal_folder.py  the folder that one process leaves to the next
journal.py         the log of epochs in SQLite
durable_log.py     the commit path with a journal
durable_store.py   blocks that outlive their process
"""

from asyncmr.storage.block import Block as Block
from asyncmr.storage.budget import Budget as Budget
from asyncmr.storage.budget import JobBudget as JobBudget
from asyncmr.storage.compression import Compression as Compression
from asyncmr.storage.compression import codec_of as codec_of
from asyncmr.storage.disk import Disk as Disk
from asyncmr.storage.epochs import Epoch as Epoch
from asyncmr.storage.epochs import EpochLog as EpochLog
from asyncmr.storage.folder import SpillFolder as SpillFolder
from asyncmr.storage.folder import sweep as sweep
from asyncmr.storage.runs import BlockStore as BlockStore
from asyncmr.storage.sizes import cgroup_limit as cgroup_limit
from asyncmr.storage.sizes import check_limit as check_limit
from asyncmr.storage.sizes import default_memory as default_memory
