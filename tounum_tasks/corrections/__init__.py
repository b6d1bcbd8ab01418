"""Corrections as data: what people know of images, as sets that models are trained and measured on."""
