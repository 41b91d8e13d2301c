"""What goes wrong in a way the user can put right."""


class UserError(Exception):
    """One line for the user: what happened, where, and what to do next.

    `code` is one of `contract.messages` or a code of `job`; `fix` the operator that helps.
    """

    def __init__(self, message: str, code: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.code, self.fix = code, fix
