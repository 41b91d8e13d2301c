"""MoMask for Blender: text to editable character animation. Importing this imports nothing else."""
