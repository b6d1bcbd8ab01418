"""Builds the image of the Dockerfile without Docker, full and lean, and runs it; needs root."""
