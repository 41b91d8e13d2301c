"""What the add-on and the runtime must agree on. Standard library and NumPy only."""
