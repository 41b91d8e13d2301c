"""The one module that knows how Actions differ between Blender versions.

Until 4.3 an Action holds its F-curves itself; since 4.4 they belong to a slot's channelbag. Asks
for features, not version numbers.
"""

import math
from typing import Any

import bpy
from bpy.types import ID, Action, Object


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
    """The Action's slot for objects: any object may play it, whatever the slot is called.

    Of several it is the one called as what `ob` plays now.
    """
    fitting = [slot for slot in action.slots if slot.target_id_type == "OBJECT"]
    played = getattr(ob.animation_data, "action_slot", None)  # no data has none
    same = [slot for slot in fitting if played and slot.identifier == played.identifier]
    found = [*same, *fitting]
    return found[0] if found else action.slots.new(id_type="OBJECT", name=ob.name)


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


def playing(ob: Object) -> tuple[Action, Any]:
    """The Action that `ob` plays and its slot, None before there were slots."""
    return ob.animation_data.action, getattr(ob.animation_data, "action_slot", None)


def bind_copy(ob: Object, copy: Action) -> None:
    """Make a copy of the Action that `ob` plays play instead, with the same slot."""
    slot = playing(ob)[1]
    identifier = slot.identifier if slot else None
    ob.animation_data.action = copy
    if identifier is not None:
        ob.animation_data.action_slot = copy.slots[identifier]


def key_range(channels: Any) -> tuple[int, int]:
    """The whole frames around all keys; not the range somebody set by hand."""
    ranges = [curve.range() for curve in channels.fcurves]
    return math.floor(min(start for start, _ in ranges)), math.ceil(max(end for _, end in ranges))


def clear_actions(block: ID) -> None:
    """No Action and no NLA track plays on it any more; its drivers stay."""
    data = block.animation_data
    if data is None:
        return
    data.use_tweak_mode = False
    data.action = None
    for track in list(data.nla_tracks):
        track.is_solo = False  # or Blender waits for the one that is gone
        data.nla_tracks.remove(track)


def clear_drivers(block: ID) -> None:
    """Nothing but keys moves it any more."""
    drivers = block.animation_data.drivers if block.animation_data else ()
    for driver in list(drivers):
        drivers.remove(driver)


def play_as_strip(
    ob: Object, action: Action, slot: Any, frames: tuple[int, int], name: str
) -> None:
    """Make an Action all that `ob` plays, as an NLA strip: exporters name a take after it, start
    it at time zero and write no other Action."""
    clear_actions(ob)
    track = (ob.animation_data or ob.animation_data_create()).nla_tracks.new()
    track.name = name
    strip = track.strips.new(name, frames[0], action)
    if slot is not None:
        strip.action_slot = slot
    strip.action_frame_start, strip.action_frame_end = frames
    strip.frame_end = max(frames[1], frames[0] + 1)


def strip_channels(ob: Object) -> Any:
    """What holds the `.fcurves` of the strip that `play_as_strip` made, in a copy of its Action."""
    strip = ob.animation_data.nla_tracks[0].strips[0]
    slot = getattr(strip, "action_slot", None)
    identifier = slot.identifier if slot else None
    strip.action = strip.action.copy()
    if identifier is None:
        return strip.action
    strip.action_slot = strip.action.slots[identifier]
    return _channelbag(strip.action, strip.action_slot)


def ensure_group(channels: Any, name: str) -> Any:
    """The F-curve group of that name in an Action or channelbag."""
    return channels.groups.get(name) or channels.groups.new(name)


def copy_of_action(ob: Object, name: str) -> Action:
    """A copy of what `ob` plays, bound to nothing; a new Action where it plays none."""
    own = ob.animation_data.action if ob.animation_data else None
    copy = own.copy() if own else bpy.data.actions.new(name)
    copy.name, copy.use_fake_user = name, True
    copy.asset_clear()
    return copy


def strip_above(ob: Object, action: Action, frames: tuple[int, int], is_shown: bool) -> None:
    """A strip on an NLA track of its own above the others. It shows nothing outside its frames."""
    track = (ob.animation_data or ob.animation_data_create()).nla_tracks.new()
    track.name, track.mute = action.name, not is_shown
    strip = track.strips.new(action.name, frames[0], action)
    if hasattr(strip, "action_slot"):
        strip.action_slot = action.slots[0]
    strip.action_frame_start, strip.action_frame_end = frames
    strip.frame_end = frames[1]
    strip.use_sync_length = False
    strip.extrapolation, strip.blend_type = "NOTHING", "REPLACE"


def is_in_strips(ob: Object, action: Action) -> bool:
    data = ob.animation_data
    tracks = data.nla_tracks if data else ()
    return any(strip.action == action for track in tracks for strip in track.strips)
