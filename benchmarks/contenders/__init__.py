"""One program per contender; each is started in a process and an environment of its own."""
