"""The one module that knows how Actions differ between Blender versions.

Until 4.3 an Action holds its F-curves itself; since 4.4 they belong to a slot's channelbag. Asks
for features, not version numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bpy.types import Action, Object


def bind_action(ob: Object, action: Action) -> Any:
    """Make `action` play on `ob`; return what holds its `.fcurves` and `.groups`."""
    data = ob.animation_data or ob.animation_data_create()
    data.action = action
    if not hasattr(action, "slots"):
        return action
    slot = data.action_slot or _ensure_slot(action, ob)
    data.action_slot = slot  # without this the Action is there but does not play
    return _channelbag(action, slot)


def new_channels(action: Action, ob: Object) -> Any:
    """What holds the `.fcurves` and `.groups` for objects like `ob`, which need not play it."""
    if not hasattr(action, "slots"):
        return action
    return _channelbag(action, _ensure_slot(action, ob))


def _ensure_slot(action: Action, ob: Object) -> Any:
    """The Action's slot for objects: any object may play it, whatever the slot is called."""
    fitting = [slot for slot in action.slots if slot.target_id_type == "OBJECT"]
    return fitting[0] if fitting else action.slots.new(id_type="OBJECT", name=ob.name)


def _channelbag(action: Action, slot: Any) -> Any:
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)


def bound_channels(ob: Object) -> Any:
    """What holds the `.fcurves` and `.groups` that `ob` plays, or None when it plays no Action."""
    data = ob.animation_data
    if data is None or data.action is None:
        return None
    if not hasattr(data.action, "slots"):
        return data.action
    return _channelbag(data.action, data.action_slot) if data.action_slot else None


@contextmanager
def as_only_strip(ob: Object) -> Iterator[None]:
    """Meanwhile `ob` plays its Action as its one NLA strip: the FBX exporter names a take after
    the strip, starts it at time zero and writes no other Action."""
    data = ob.animation_data
    action, slot = data.action, getattr(data, "action_slot", None)
    were_muted = [(track, track.mute) for track in data.nla_tracks]
    track = data.nla_tracks.new()
    try:
        for other, _ in were_muted:
            other.mute = True
        data.action = None
        strip = track.strips.new(action.name, round(action.frame_range[0]), action)
        if slot is not None:
            strip.action_slot = slot
        yield
    finally:
        data.nla_tracks.remove(track)
        for other, was_muted in were_muted:
            other.mute = was_muted
        data.action = action
        if slot is not None:
            data.action_slot = slot


def ensure_group(channels: Any, name: str) -> Any:
    """The F-curve group of that name in an Action or channelbag."""
    return channels.groups.get(name) or channels.groups.new(name)
