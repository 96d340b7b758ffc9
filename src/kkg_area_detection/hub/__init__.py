"""S3 prefix in, verified local directory out. Knows no torch and no images.

* ``resolve`` is the priority rule: path, then cache, then S3.
* ``fetch`` is one download from end to end; ``plan`` decides what it takes and ``transfer`` does it.
* ``s3`` is the only module that speaks to boto3; ``s3_errors`` turns its failures into our error tree.
* ``cache`` owns the directory layout: staging, publishing, receipts and locks.
* ``names`` decides whether a name may become a path; ``archive`` unpacks.
"""
