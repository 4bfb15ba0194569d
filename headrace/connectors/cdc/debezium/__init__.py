"""`engine: debezium`: Debezium's embedded engine in a process of its own, with its positions in Kafka.

============== =====================================================================================
file           what
============== =====================================================================================
`feed`         starts the process, takes its batches, starts it again
`delivery`     batches as Kafka's transactions
`process`      the process as the worker sees it
`frames`       what the two say to each other
`child`        the process itself
`engine`       Debezium's engine in Java
`entries`      positions that lose no row where many rows share an entry of the log
`failures`     why an engine ended
`operation`    the capture seen from the command line
`needs`        what the engine needs, on this machine and in the database
`database`     the database as the native engine would enter it
`properties`   the connector's properties; also those of `engine: connect`
`settings`     the values of the config's templates
`topics`       the connector's topics
`redaction`    keeps secrets out of what others say
============== =====================================================================================

Imports nothing: the trigger asks `properties` for what is wrong with a config.
"""
