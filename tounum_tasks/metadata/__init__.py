"""What originals, and files beside them, say of pictures: read, kept and written; no pixels here."""
