"""Databases that speak SQL: the action `sql`, and what lookups share with it."""
