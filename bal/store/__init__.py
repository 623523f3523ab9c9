"""The Shared Customer Database: one package for each engine."""
