"""Telling photographs from paintings, schematics, sketches and pages of text."""
