"""From the model's joints to a rig's bones. No bpy."""
