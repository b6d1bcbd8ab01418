"""From the bytes of a file to upright sRGB pixels, and back to a file.

Everything in this room works on bytes and arrays: it knows no batch, no lake and no settings.
"""
