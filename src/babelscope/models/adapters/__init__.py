"""Adapters: models of transformers as sides and points, by rules and measurements instead of a program for each."""
