"""Armatures: making our own character."""
