"""Samples: a few images of a batch, drawn at random and looked at one by one, tell how many of all are wrong."""

from fastapi import APIRouter

router = APIRouter()
