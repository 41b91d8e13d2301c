"""MoMask for Blender: text to editable character animation. Importing this imports nothing else."""


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
