class Trouble(Exception):
    """Why there can be no result, for the person who called us."""
