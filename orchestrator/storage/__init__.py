"""Files in a local folder or in an S3 bucket, through one small protocol; HTTP to S3 lives here.

opening    open_folder(uri) -> a Folder: list, exists, open_read, write_whole, upload_file, ...
publish    publish_folder, publish_file: upload once, confirm, presign, delete the local copy
settings   the endpoint and the keys, from the environment and `.env`
"""
