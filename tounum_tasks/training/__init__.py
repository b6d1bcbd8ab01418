"""Training of the models: the training loops and what they need."""
