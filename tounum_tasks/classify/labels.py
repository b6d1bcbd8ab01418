"""The five classes, in the order in which every model and every table of probabilities has them."""

CLASSES = ("Painting", "Photo", "Schematics", "Sketch", "Text")
PHOTO = "Photo"
