"""How good a model is: against data, and against what a prompt asks for."""
