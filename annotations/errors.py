"""The errors that a user's data or command can cause; the command line prints them without a traceback."""


class PpnlabError(Exception):
    """The data or the run is at fault: `<file>: <where>: <what> must be <this>, got <that>` (exit status 1)."""


class AnnotationError(PpnlabError):
    """An annotation file, a dataset or a picture cannot be used."""


class UsageError(PpnlabError):
    """The request itself cannot be carried out as it was put (exit status 2)."""
