"""Taking batches in: which are ready, copying them safely, and registering their items."""
