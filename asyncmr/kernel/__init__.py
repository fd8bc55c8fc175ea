"""The pure functions that every engine shares: they map, combine, partition, group and reduce blocks.

Nothing here knows of asyncio, processes or files. Read it in the order of the data: `decoding` (bytes to records),
`mapping` (records to pairs), `reductions` with `folding`, `aggregating` and `grouping` (the tight loops),
`partitioning` (a table to sorted runs), `blocks` (runs to bytes), `merging` (runs to whole keys), `formats` (results
to bytes); `guarding` leaves out what fails; `program` is what is shipped to a worker and strings these together.
"""
