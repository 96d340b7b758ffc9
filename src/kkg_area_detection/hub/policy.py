"""The least that a reader of models must be allowed, as an IAM policy.

What the library asks of S3 follows from ``S3_MODEL_KEY`` alone:

=================================  ======================================  ================================
``S3_MODEL_KEY``                   lists                                   gets
=================================  ======================================  ================================
``models/large/``                  what begins with the prefix             what begins with the prefix
``models/large.zip``               the object, and the folder it lies in   the object
``models/large/m.safetensors``     the object, and the folder it lies in   what lies in that folder
with ``{model_name}``              what begins with the text before it     the same, for any name
=================================  ======================================  ================================
"""

from __future__ import annotations

import re

from kkg_area_detection.hub.plan import ARCHIVE_SUFFIXES, folder_above, is_prefix
from kkg_area_detection.settings import MODEL_NAME_FIELD

IamPolicy = dict[str, object]


def iam_policy(bucket: str, key: str) -> IamPolicy:
    """The minimal policy for readers, ready for ``json.dumps``.

    Args:
        bucket: Name of the bucket.
        key: ``S3_MODEL_KEY`` as it is set, with ``{model_name}`` in it or not.

    Returns:
        A policy of two statements: ``s3:ListBucket`` on what is listed, ``s3:GetObject`` on what is read.

    Examples:
        >>> policy = iam_policy("my-bucket", "models/{model_name}/")
        >>> [statement["Resource"] for statement in policy["Statement"]]
        ['arn:aws:s3:::my-bucket', 'arn:aws:s3:::my-bucket/models/*']
    """
    listing: dict[str, object] = {
        "Sid": "ListModels",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    patterns = listed_patterns(key)
    if patterns != ["*"]:  # the whole bucket needs no condition
        listing["Condition"] = {"StringLike": {"s3:prefix": patterns}}
    getting = {
        "Sid": "GetModels",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/{read_pattern(key)}",
    }
    return {"Version": "2012-10-17", "Statement": [listing, getting]}


def listed_patterns(key: str) -> list[str]:
    """Patterns of the prefixes that are listed, as IAM writes them."""
    if MODEL_NAME_FIELD in key:
        return [_literal(key.partition(MODEL_NAME_FIELD)[0]) + "*"]
    if is_prefix(key):
        return [_literal(key) + "*"]
    return [_literal(folder_above(key)), _literal(key)]


def read_pattern(key: str) -> str:
    """Pattern of the keys that are read, as IAM writes it."""
    if is_prefix(key):
        readable = key
    elif key.lower().endswith(ARCHIVE_SUFFIXES):
        return _any_name(key)
    else:
        readable = folder_above(key)
    # models/{model_name}/ gives models/*, not models/*/*: it also covers what is beside the models' folders,
    # and people can read it.
    return re.sub(r"\*/\*$", "*", _any_name(readable) + "*")


def _any_name(key: str) -> str:
    return "*".join(_literal(part) for part in key.split(MODEL_NAME_FIELD))


def _literal(text: str) -> str:
    """Text that stands for itself in a policy, where ``*``, ``?`` and ``$`` mean something."""
    return re.sub(r"[*?$]", r"${\g<0>}", text)
