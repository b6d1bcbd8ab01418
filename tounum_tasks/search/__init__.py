"""Finding images again: by words, and by what they look like."""
