"""Where bytes live: a directory, or a bucket of MinIO and any S3 with conditional writes."""
