"""Files: the action `file`."""
