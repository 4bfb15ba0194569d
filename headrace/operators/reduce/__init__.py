"""`reduce`: aggregates per key, over windows or over all time.

action.py chooses by config: folded.py is inlined into generated code, session.py, sliding.py and counted.py work through a
`KeyedContext`, maps.py makes one map of a list. All but the last share config.py, keyed.py and accumulator.py, which puts the
aggregates of `aggregates/` together.
"""

from headrace.operators.reduce.action import Reduce

__all__ = ["Reduce"]
