"""Test cases of flows: documents beside the flows, what runs them, and what they reached."""
