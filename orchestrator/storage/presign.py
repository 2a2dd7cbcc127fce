"""URLs by which anyone may read one object for some hours, without keys."""

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from orchestrator.storage.folder import Folder
from orchestrator.storage.s3 import S3Folder

MAX_HOURS = 168


def check_presign_hours(hours: int | None) -> None:
    """Refuse what S3's signature does not allow; None is no URL at all."""
    if hours is not None and not 1 <= hours <= MAX_HOURS:
        raise ValueError(
            f"presign hours {hours}: use 1 to {MAX_HOURS}; S3's signature (SigV4) holds for "
            "7 days at most"
        )


def check_can_presign(folder: Folder, hours: int | None) -> None:
    """Refuse to presign what is not in a bucket."""
    check_presign_hours(hours)
    if hours is not None and not isinstance(folder, S3Folder):
        raise ValueError(f"presign hours {hours}: {folder.uri} is no place in a bucket (s3://...)")


def presigned_url(folder: Folder, name: str, hours: int) -> SecretStr:
    """Return a URL that reads a file of a bucket; whoever has it can read, so it is kept secret.

    With a session token it ends with the token, if that is earlier.
    """
    check_can_presign(folder, hours)
    assert isinstance(folder, S3Folder)
    return _signed(folder, name, hours * 3600)


def _signed(folder: S3Folder, name: str, seconds: int) -> SecretStr:
    key = folder.key(name)
    try:
        url = folder.bucket.client.generate_presigned_url(
            "get_object", Params={"Bucket": folder.bucket.name, "Key": key}, ExpiresIn=seconds
        )
    except (BotoCoreError, ClientError) as error:
        raise folder.bucket.error(error, "get_object", key) from None
    return SecretStr(url)
