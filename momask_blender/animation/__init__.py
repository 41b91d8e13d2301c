"""Actions, F-curves, files and pictures."""
