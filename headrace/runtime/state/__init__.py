"""The state of tasks: how values are written as bytes, where they lie in a store, and the store in memory."""
