"""Read rows of files, hub datasets and earlier artifacts."""
