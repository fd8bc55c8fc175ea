"""How a job with a journal begins and ends: it is the same job, it goes on, and what it leaves.

When the job is done the journal keeps a note of it, the report. The same job is then done already, as long as its
output is there; so it does no harm to run the command again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping

from asyncmr.connectors.journaled_parts import PUBLISHING, JournaledParts
from asyncmr.errors import ResumeError
from asyncmr.pipeline.fingerprint import differences
from asyncmr.report import Report
from asyncmr.storage.disk import Disk
from asyncmr.storage.journal import Journal

_IDENTITY, _REPORT = "identity", "report"


async def begun(
    journal: Journal, disk: Disk, identity: Mapping[str, str], sink: JournaledParts
) -> Report | None:
    """Makes the journal this job's; returns the report if the job was finished before.

    Raises:
        ResumeError: it is the journal of something else.
    """
    return await disk.run(_begun, journal, identity, sink)


async def ended(journal: Journal, disk: Disk, report: Report) -> None:
    """The output is there: notes that, and forgets everything else."""
    await disk.run(_ended, journal, report)


def _begun(journal: Journal, identity: Mapping[str, str], sink: JournaledParts) -> Report | None:
    noted, finished = journal.noted(_IDENTITY), journal.noted(_REPORT)
    differing = [] if noted is None else differences(json.loads(noted), identity)
    if differing and (finished or not journal.is_empty() or journal.noted(PUBLISHING)):
        raise _refused(journal, differing, finished=bool(finished))
    if finished and sink.is_complete():
        journal.folder.keep_only(())
        report = Report.from_dict(json.loads(finished))
        for stage in report.stages.values():
            stage.resumed = stage.tasks
        return report
    if differing and (staging := journal.noted("staging")):  # of a job that had committed nothing
        shutil.rmtree(staging, ignore_errors=True)
    if noted is None or differing or finished:
        journal.clear(**{_IDENTITY: json.dumps(identity), _REPORT: "", PUBLISHING: ""})
    return None


def _ended(journal: Journal, report: Report) -> None:
    journal.clear(**{_REPORT: json.dumps(report.as_dict())})
    journal.folder.keep_only(())


def _refused(journal: Journal, differing: list[str], *, finished: bool) -> ResumeError:
    path = journal.folder.path
    if finished:
        advice = "That job is finished; name another folder for this one, or remove this folder"
    else:
        advice = "Go on with the job as it was, or remove the folder to begin anew"
    return ResumeError(
        f"the journal in {path!r} is not one of this job: {'; '.join(differing)}. {advice}",
        path=path,
        differences=tuple(differing),
    )
