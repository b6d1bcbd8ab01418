"""Fixity: what a delivery says of its files, by checksum lists and bags, and whether they are that."""
