"""The five classes, in the order in which every model and every table of probabilities has them."""

CLASSES = ("Painting", "Photo", "Schematics", "Sketch", "Text")
PHOTO = "Photo"
UNKNOWN = "Unknown"
"""What a network may score behind the classes: that an image is of none of them. It is doubted, and never called so."""
