"""The worker process: members of consumer groups, their topics and their sessions."""
