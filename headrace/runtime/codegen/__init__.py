"""From the plan to Python source: one function over a batch of records per source of a sub-topology."""

from headrace.runtime.codegen.entries import entries_of, modules_of, replay_entry
from headrace.runtime.codegen.module import Entry, LinePlace, Module, StageFunction
from headrace.runtime.codegen.writer import write_module

__all__ = [
    "Entry",
    "LinePlace",
    "Module",
    "StageFunction",
    "entries_of",
    "modules_of",
    "replay_entry",
    "write_module",
]
