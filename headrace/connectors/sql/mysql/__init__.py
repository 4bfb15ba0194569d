"""MySQL and MariaDB, through PyMySQL in threads."""
