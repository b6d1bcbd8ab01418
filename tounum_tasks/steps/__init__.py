"""What a run does to a shard: each step takes what the one before committed, and commits its own rows."""
