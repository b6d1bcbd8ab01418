"""Whose word a row has: a model's or a person's. Nothing that is slow to import."""

BY_MODEL, BY_PERSON = "model", "person"
