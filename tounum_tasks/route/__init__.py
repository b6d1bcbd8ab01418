"""Putting each image where its class belongs."""
