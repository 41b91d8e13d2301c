"""Keep these frames, make the rest."""
