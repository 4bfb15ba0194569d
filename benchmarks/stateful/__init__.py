"""The works that need state: windows, running totals, a join with a table, and the restore of a state that was lost."""
