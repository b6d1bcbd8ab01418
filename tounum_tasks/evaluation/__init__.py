"""How good the models are, in figures that others publish too."""
