"""Training of the models: data sets, caches of features, the training loops."""
