"""MariaDB and MySQL as a source of changes, through their binary log and GTIDs.

================== ===================================================================================
file               what
================== ===================================================================================
`source`           the source: begin, verify, snapshot, stream
`connection`       connections and their failures
`checks`           what must be so on the server
`columns`          tables as the server describes them
`snapshot`         rows at one moment, and in chunks
`log_reader`       the events of the binary log
`stream`           from events to changes
`captured`         one table: its changes become records
`shape`            the readers of a table's row images
`decoding`         values in the binary log
`values`           values as JSON has them
`gtid`             sets of global transaction ids
================== ===================================================================================
"""

from headrace.connectors.cdc.mysql.source import MysqlSource

__all__ = ["MysqlSource"]
