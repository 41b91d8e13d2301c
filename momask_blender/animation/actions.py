"""The one module that knows how Actions differ between Blender versions.

Until 4.3 an Action holds its F-curves itself; since 4.4 they belong to a slot's channelbag. Asks
for features, not version numbers.
"""

from typing import Any

from bpy.types import Action, Object


def bind_action(ob: Object, action: Action) -> Any:
    """Make `action` play on `ob`; return what holds its `.fcurves` and `.groups`."""
    data = ob.animation_data or ob.animation_data_create()
    data.action = action
    if not hasattr(action, "slots"):
        return action
    slot = data.action_slot or action.slots.new(id_type="OBJECT", name=ob.name)
    data.action_slot = slot  # without this the Action is there but does not play
    return _channelbag(action, slot)


def _channelbag(action: Action, slot: Any) -> Any:
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)


def ensure_group(channels: Any, name: str) -> Any:
    """The F-curve group of that name in an Action or channelbag."""
    return channels.groups.get(name) or channels.groups.new(name)
