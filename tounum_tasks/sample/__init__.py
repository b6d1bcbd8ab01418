"""The sample batch: about 40 files such as an archive delivers, made by this package without a download."""
