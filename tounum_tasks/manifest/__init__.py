"""The product: one Parquet manifest per batch, one row per image."""
