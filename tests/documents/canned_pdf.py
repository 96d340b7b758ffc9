"""PDF files, written by hand: what plotting programs and scanners leave, in a few lines."""

import io
import struct
import zlib

from pypdf import PdfReader, PdfWriter

HEADER = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
A4 = "/MediaBox [0 0 595.276 841.89]"


def pdf(*pages: tuple[str, str | bytes], objects: tuple[bytes, ...] = ()) -> bytes:
    """A file whose pages are (entries of the dictionary, content). The first of ``objects`` is number 3."""
    first = 3 + len(objects)
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    bodies = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode()]
    bodies += objects
    for number, (entries, content) in enumerate(pages):
        bodies.append(_page(entries, first + 2 * number + 1))
        bodies.append(stream("", content.encode() if isinstance(content, str) else content))
    content, offsets = _numbered(bodies)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return content + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
        % (len(bodies) + 1, table, len(bodies) + 1, len(content))
    )


def packed_pdf(entries: str) -> bytes:
    """A page whose dictionary lies in a compressed object stream, as newer programs write it."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        _page(entries, contents=4),
    ]
    starts = [sum(len(one) + 1 for one in objects[:number]) for number in range(3)]
    index = " ".join(f"{number} {start}" for number, start in enumerate(starts, 1)).encode() + b" "
    packed = zlib.compress(index + b" ".join(objects))
    bodies = [stream("", b""), stream(f"/Type/ObjStm/N 3/First {len(index)}/Filter/FlateDecode", packed)]
    content, (page_content, object_stream) = _numbered(bodies, first=4)
    rows = [(0, 0, 65535), (2, 5, 0), (2, 5, 1), (2, 5, 2), (1, page_content, 0), (1, object_stream, 0)]
    rows.append((1, len(content), 0))
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    xref = stream("/Type/XRef/Size 7/W[1 4 2]/Root 1 0 R", table)
    return content + b"6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (xref, len(content))


def scan_pdf(
    width: int, height: int, data: bytes, *, dpi: float, coding: str, over: str = "", turned: str = ""
) -> bytes:
    """A page that is one image. ``over`` is drawn over it."""
    across, down = width * 72 / dpi, height * 72 / dpi
    return pdf(
        (
            f"/MediaBox[0 0 {across} {down}]/Resources<</XObject<</I 3 0 R>>>>{turned}",
            f"q {across} 0 0 {down} 0 0 cm /I Do Q {over}",
        ),
        objects=(image_object(width, height, data, coding),),
    )


def encrypted_pdf(content: bytes, user: str, algorithm: str) -> bytes:
    """The same with a password; that of the owner is ``owner``."""
    writer = PdfWriter(PdfReader(io.BytesIO(content)))
    writer.encrypt(user, "owner", algorithm=algorithm)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def image_object(width: int, height: int, data: bytes, coding: str) -> bytes:
    return stream(f"/Type/XObject/Subtype/Image/Width {width}/Height {height}{coding}", data)


def stream(entries: str, data: bytes) -> bytes:
    return f"<<{entries}/Length {len(data)}>>stream\n".encode() + data + b"\nendstream"


def _page(entries: str, contents: int) -> bytes:
    return f"<</Type/Page/Parent 2 0 R/Contents {contents} 0 R{entries}>>".encode()


def _numbered(bodies: list[bytes], first: int = 1) -> tuple[bytes, list[int]]:
    content, offsets = HEADER, []
    for number, body in enumerate(bodies, first):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    return content, offsets
