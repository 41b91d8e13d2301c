"""Operators, panels, preferences: thin, they draw and call."""
