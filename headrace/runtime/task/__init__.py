"""What runs inside of a task: programs, records, failures, commits."""
