"""PostgreSQL for `cdc`.

============================== ===========================================================
file                           what
============================== ===========================================================
`source`                       implements the contract with the others
`replication`, `pgoutput`      the protocol, and its messages
`stream`                       from messages to changes
`snapshot`                     rows that are there already
`captured`, `catalog`          which tables, columns and keys there are
`layout`, `values`, `envelope` from PostgreSQL's text to JSON
`slot`, `publication`          what the capture has in the database
`guards`, `check`              what must be so, and what should be so
============================== ===========================================================
"""

from headrace.connectors.cdc.postgres.source import PostgresSource

__all__ = ["PostgresSource"]
