"""`format: debezium`: reads the change events that any Debezium connector writes, in each of their shapes."""

from headrace.connectors.debezium_format.format import DebeziumFormat

__all__ = ["DebeziumFormat"]
