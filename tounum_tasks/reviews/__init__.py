"""What people said about images: their corrections, where those are kept, and what is in force."""
