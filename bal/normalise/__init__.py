"""Normalise: messages of sources become readings, rejections and duplicates."""
