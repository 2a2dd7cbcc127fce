"""What a dataset is called: its key is `NAME-VERSION`, which is also the name of its folder."""

MAX_NAME_CHARS, MAX_VERSION_CHARS = 128, 64
MAX_KEY_BYTES = 193
"""A file system takes 255 bytes; the rest is for what is written beside a folder."""


def dataset_key(name: str, version: str) -> str:
    """Return the key, with `_` for each space and slash.

    Raises ValueError that begins with the argument to change.
    """
    for what, text, most in (
        ("name", name, MAX_NAME_CHARS),
        ("version", version, MAX_VERSION_CHARS),
    ):
        if not 1 <= len(text) <= most:
            raise ValueError(f"{what} has {len(text)} characters: use 1 to {most}")
        if not text.isprintable() or "\\" in text:
            raise ValueError(f"{what} is {text!r}: use printable characters, and no backslash")
    if name[0] in ".-":
        raise ValueError(f"name is {name!r}: begin it with another character than {name[0]!r}")
    key = f"{name}-{version}".replace(" ", "_").replace("/", "_")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"name and version have over {MAX_KEY_BYTES} bytes together: shorten them")
    return key
