"""Values that are framed for a schema registry: Avro, Protobuf and JSON Schema."""
