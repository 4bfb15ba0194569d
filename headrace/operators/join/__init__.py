"""`join` and what it is made of; `docs/joins.md` tells users what it gives.

config.py (what is written in a document) → join.py (which join that is, and what is wrong with it) → stream_stream.py,
stream_table.py, table_table.py, foreign_key.py, all of which are a keyed_join.py. rows.py reads tables, also for `hydrate`.
"""

from headrace.operators.join.join import Join

__all__ = ["Join"]
