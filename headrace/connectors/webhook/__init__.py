"""The webhook bridge: requests over HTTP become records of a topic, and are answered when Kafka has acknowledged them.

The way of a request is told in application.py; `docs/webhooks.md` is the users' reference.
"""
