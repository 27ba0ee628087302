"""A log through other pools: what yesterday would have been with 40 workers."""

from capacity.log_replay.replaying import LONGEST_TIME, replay_log

__all__ = ["LONGEST_TIME", "replay_log"]
