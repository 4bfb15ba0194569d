"""Change data capture: a database's rows, and every change of them, as records.

==================== ==============================================================================================
file                 what
==================== ==============================================================================================
`trigger`, `config`  the action `cdc` and its config
`engines`            which feed carries a config out, and which source of changes the native one has
`source`             the contract of a source of changes; `postgres` and `mysql` implement it
`feed`               the loop of the native engine: snapshot, stream, commit, confirm
`writer`             what changes go through into Kafka's transactions, and where these are cut
`progress`           the record of how far it is, which is committed with the changes
==================== ==============================================================================================
"""

from headrace.connectors.cdc.trigger import CdcTrigger

__all__ = ["CdcTrigger"]
