"""Segments in, pictures and numbers out. Knows neither torch nor S3."""
