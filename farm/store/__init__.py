"""Where bytes live: a directory, later MinIO and any S3 with conditional writes."""
