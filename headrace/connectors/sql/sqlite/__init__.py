"""SQLite, through the standard library in threads."""
