"""`schedule`: starts a run at the times of a clock."""

from headrace.connectors.schedule.trigger import Schedule

__all__ = ["Schedule"]
