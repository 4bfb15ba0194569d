"""What a worker answers over HTTP: its state, its health, its metrics.

Started by the setting `http`, which needs the extra of that name; whoever asks (`client`) does not.
"""
