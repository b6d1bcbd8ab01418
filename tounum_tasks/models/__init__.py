"""Versions of models: what lies in a version folder, and the registry that knows which one is in production."""
