"""The demonstration: a local S3 server, the bundled model, and what a user does with them."""
