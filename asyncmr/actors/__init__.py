"""Actors that exchange bounded channels, and the crew that keeps them; knows nothing of MapReduce.

Read `channel.py` first (what moves), then `actor.py` (who moves it), then `crew.py` (who looks after them);
`scope.py` is the task group below: many tasks, one error.
"""

from __future__ import annotations

from asyncmr.actors.actor import Actor, ActorState, ActorStats
from asyncmr.actors.channel import Channel, ChannelClosed, ChannelStats, Receiver, Sender, open_channel
from asyncmr.actors.crew import Crew, CrewStats
from asyncmr.actors.scope import StrayCancellation, TaskScope

__all__ = [
    "Actor",
    "ActorState",
    "ActorStats",
    "Channel",
    "ChannelClosed",
    "ChannelStats",
    "Crew",
    "CrewStats",
    "Receiver",
    "Sender",
    "StrayCancellation",
    "TaskScope",
    "open_channel",
]
