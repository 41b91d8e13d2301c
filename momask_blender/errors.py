"""What goes wrong in a way the user can put right."""


class UserError(Exception):
    """One line for the user: what happened, where, and what to do next."""
