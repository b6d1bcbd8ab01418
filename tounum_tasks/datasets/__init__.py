"""Pictures with captions or classes, as models learn from them and are measured on them."""
