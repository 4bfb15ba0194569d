"""Flows that keep state of every kind, each with a topic of its own to write to."""

TOTALS = """
name: big orders
stages:
  - {name: in, action: kafka, config: {topics: in}, out: totals}
  - {name: totals, action: reduce, config: {aggregate: {n: count(), sum: sum(event.a)}}, out: sink}
  - {name: sink, action: publish, config: {topic: out, expired: allow}}
"""

WINDOWS = """
name: windows
stages:
  - {name: in, action: kafka, config: {topics: in}, out: [minutes, hops]}
  - name: minutes
    action: reduce
    config: {key: event.r, window: {tumbling: 10s}, aggregate: {n: count()}}
    out: sink
  - name: hops
    action: reduce
    config: {key: event.r, window: {hopping: 10s, every: 5s}, aggregate: {n: count()}}
    out: other
  - {name: sink, action: publish, config: {topic: out, expired: allow}}
  - {name: other, action: publish, config: {topic: out-2, expired: allow}}
"""

ENTRIES = """
name: entries
stages:
  - {name: in, action: kafka, config: {topics: in}, out: [seen, visits, recent, threes]}
  - {name: seen, action: dedupe, config: {by: event.a, within: 1h}, out: sink}
  - {name: visits, action: reduce, config: {window: {session: 5s}, aggregate: {n: count()}}, out: other}
  - {name: recent, action: reduce, config: {window: {sliding: 5s}, aggregate: {n: count()}}, out: third}
  - {name: sink, action: publish, config: {topic: out, expired: allow}}
  - {name: other, action: publish, config: {topic: out-2, expired: allow}}
  - {name: threes, action: reduce, config: {window: {count: 3}, aggregate: {n: count()}}, out: fourth}
  - {name: third, action: publish, config: {topic: out-3, expired: allow}}
  - {name: fourth, action: publish, config: {topic: out-4, expired: allow}}
"""
