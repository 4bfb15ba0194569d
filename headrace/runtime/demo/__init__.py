"""The demonstration: a real data set, and a flow over it."""
