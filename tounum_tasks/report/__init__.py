"""What a run looks like to people: one HTML page per run, and tables for the terminal.

Everything here reads published manifests; nothing here writes one.
"""
