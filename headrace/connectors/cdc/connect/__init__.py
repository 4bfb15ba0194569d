"""`engine: connect`: a Debezium connector in somebody's Kafka Connect, through its REST API.

============== ===================================================================================
file           what
============== ===================================================================================
`rest`         requests, and what an answer that is no success asks for
`connector`    one connector: register, pause, resume, restart, remove
`standing`     what Kafka Connect says of a connector, read
`operation`    what `headrace cdc` does with one
`feed`         registers the connector of a stage and watches it
============== ===================================================================================
"""

from headrace.connectors.cdc.connect.feed import ConnectFeed

__all__ = ["ConnectFeed"]
