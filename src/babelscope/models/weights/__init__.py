"""Readers of weight containers: bytes in, named arrays out. Nothing that is read is ever run."""
