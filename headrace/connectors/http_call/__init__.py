"""Requests over HTTP: the action `http`, and the client that lookups and notifications share with it."""
