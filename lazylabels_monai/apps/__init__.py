"""Adapters to other programs: thin, without logic of their own."""
