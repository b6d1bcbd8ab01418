"""Folders and buckets, with the promises that the pipeline rests on."""
