"""What a binary file is that was given as text, by its first bytes: named, and never shown."""

TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = 512
"""How much of a file's beginning tells what it is."""
PARQUET = "a Parquet file"

_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\x04\x22\x4d\x18", "an lz4 file"),
    (b"\x1f\x9d", "a compress (.Z) file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"PAR1", PARQUET),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "an ELF program"),
    (b"\xca\xfe\xba\xbe", "a compiled program"),
    (b"\x00\x05\x16\x07", "an AppleDouble file (macOS keeps attributes there)"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_TEXT_CONTROLS = frozenset(b"\t\n\x0b\x0c\r\x1b")


def binary_kind(head: bytes) -> str | None:
    """Return what a file with this beginning is, or None if it may be text.

    Control characters that no text has make a file binary, whatever else it is.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[TAR_MAGIC_AT:].startswith(TAR_MAGIC):
        return "a tar archive"
    if head[8:9] == b"{" and b'"dtype"' in head:
        return "a safetensors file"
    controls = {byte for byte in head[:HEAD_BYTES] if byte < 32} - _TEXT_CONTROLS
    return "a binary file" if controls else None


def refuse_binary(head: bytes, where: object, wanted: str) -> None:
    """Raise ValueError naming what a file is, if its beginning is not that of a text."""
    kind = binary_kind(head)
    if kind is not None:
        raise ValueError(f"{where} is {kind}: give {wanted}")
