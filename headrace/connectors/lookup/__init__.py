"""Where `hydrate` looks besides tables: HTTP and SQL."""
