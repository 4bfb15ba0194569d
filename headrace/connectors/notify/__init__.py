"""Messages to people: the action `notify`."""
