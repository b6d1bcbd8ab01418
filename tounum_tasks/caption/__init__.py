"""Captions of photographs: an attention decoder over InceptionV3 features."""
