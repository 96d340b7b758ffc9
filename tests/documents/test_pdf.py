import _thread
import io
import logging
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.documents import open_image, open_sheet, open_sheets
from kkg_area_detection.documents.pdf import Scan, default_dpi
from kkg_area_detection.errors import ImageError, MissingDependencyError, PasswordError
from tests.documents.canned_pdf import A4, encrypted_pdf, image_object, pdf, scan_pdf, stream

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
GREY_DATA = "/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode"
LOWER_LEFT = "0 0 0 rg 0 0 100 50 re f"  # a black rectangle

BLANK = pdf((A4, ""))


def opened(content: bytes, **arguments: float) -> Image.Image:
    return open_image(io.BytesIO(content), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "size", "black", "white"),
    [
        ("/MediaBox[0 0 400 200]", (400, 200), (10, 190), (10, 10)),
        ("/MediaBox[0 0 400 200]/Rotate 90", (200, 400), (10, 10), (10, 390)),
        ("/MediaBox[0 0 400 200]/Rotate 180", (400, 200), (390, 10), (10, 190)),
        ("/MediaBox[0 0 400 200]/Rotate -90", (200, 400), (190, 390), (10, 390)),
        ("/MediaBox[0 0 400 200]/CropBox[50 0 250 150]", (200, 150), (10, 140), (60, 140)),
        ("/MediaBox[400 200 0 0]", (400, 200), (10, 190), (10, 10)),  # corners the wrong way round
        ("/MediaBox[-100 -100 300 100]", (400, 200), (110, 90), (90, 90)),
        ("/MediaBox[0 0 400 200]/UserUnit 2", (800, 400), (20, 380), (210, 380)),
    ],
)
def test_vector_pages(
    entries: str, size: tuple[int, int], black: tuple[int, int], white: tuple[int, int]
) -> None:
    image = opened(pdf((entries, LOWER_LEFT)), dpi=72)
    assert (image.mode, image.size) == ("RGB", size)
    assert (image.getpixel(black), image.getpixel(white)) == (BLACK, WHITE)


def test_colours_are_not_swapped() -> None:
    assert opened(pdf((A4, "1 0 0 rg 0 0 600 900 re f"))).getpixel((9, 9)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("points", "dpi", "size", "expected"),
    [
        ((595.276, 841.89), None, (1654, 2339), 200),
        ((595.276, 841.89), 300, (2480, 3508), 300),
        ((612, 792), None, (1700, 2200), 200),  # a whole number of pixels stays one
        ((2383.94, 3370.39), None, (5319, 7520), 160.6),  # A0 in 40 million pixels
        ((14400, 14400), None, (6325, 6325), 31.62),
    ],
)
def test_resolution(
    points: tuple[float, float], dpi: float | None, size: tuple[int, int], expected: float
) -> None:
    sheet = open_sheet(io.BytesIO(pdf((f"/MediaBox[0 0 {points[0]} {points[1]}]", ""))), dpi=dpi)
    assert sheet.image.size == size
    assert sheet.dpi == pytest.approx(expected, rel=5e-4)
    assert sheet.size_mm == pytest.approx([side * 25.4 / 72 for side in points])


def test_the_size_counts_the_user_unit() -> None:
    sheet = open_sheet(io.BytesIO(pdf(("/MediaBox[0 0 720 360]/UserUnit 2", ""))), dpi=100)
    assert sheet.image.size == (2000, 1000)
    assert (sheet.dpi, sheet.size_mm) == (100, pytest.approx((508, 254)))


# --- scans -----------------------------------------------------------------------------------------------

NOISE = np.random.default_rng(0).integers(0, 256, (120, 80), np.uint8)
NOISE_DATA = zlib.compress(NOISE.tobytes())
LINE = "0 0 m 9 9 l S"


@pytest.mark.parametrize("dpi", [100, 144, 240])  # where its edges lie on those of pixels, in 32-bit floats
def test_a_scan_keeps_its_pixels(dpi: float) -> None:
    sheet = open_sheet(io.BytesIO(scan_pdf(80, 120, NOISE_DATA, dpi=dpi, coding=GREY_DATA)))
    assert np.array_equal(np.asarray(sheet.image)[..., 1], NOISE)
    assert sheet.dpi == pytest.approx(dpi)


@pytest.mark.parametrize(
    ("dpi", "over", "size"),
    [
        (600, "", (40, 60)),  # 300 are enough
        (100, LINE, (160, 240)),  # lines are worth 200
        (250, LINE, (80, 120)),
        (600, LINE, (40, 60)),
    ],
)
def test_resolution_of_scans(dpi: float, over: str, size: tuple[int, int]) -> None:
    assert opened(scan_pdf(80, 120, NOISE_DATA, dpi=dpi, coding=GREY_DATA, over=over)).size == size


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (None, 200),
        (Scan(150, alone=True), 150),
        (Scan(400, alone=True), 300),
        (Scan(150, alone=False), 200),
        (Scan(250, alone=False), 250),
    ],
)
def test_default_dpi(scan: Scan | None, expected: float) -> None:
    assert default_dpi(scan) == expected


def test_a_turned_scan() -> None:
    content = scan_pdf(80, 120, NOISE_DATA, dpi=144, coding=GREY_DATA, turned="/Rotate 90")
    assert np.array_equal(np.asarray(opened(content))[..., 0], np.rot90(NOISE, -1))


@pytest.mark.parametrize("dpi", [72, 96])
def test_the_resolution_of_a_packed_image_is_not_believed(dpi: float) -> None:
    sheet = open_sheet(io.BytesIO(scan_pdf(80, 120, NOISE_DATA, dpi=dpi, coding=GREY_DATA)))
    assert (sheet.image.size, sheet.dpi, sheet.size_mm) == ((80, 120), None, None)


def test_pages_that_pillow_packs(tmp_path: Path) -> None:
    sides = (200, 300), (300, 200), (100, 100)
    first, *others = [Image.new("L", side, "white") for side in sides]
    first.save(tmp_path / "scan.pdf", save_all=True, append_images=others, resolution=150)
    sheets = list(open_sheets(tmp_path / "scan.pdf"))
    assert [sheet.image.size for sheet in sheets] == list(sides)
    assert [sheet.dpi for sheet in sheets] == [pytest.approx(150)] * 3
    assert [sheet.name for sheet in sheets] == [f"scan.pdf#page={page}" for page in (1, 2, 3)]


def test_a_black_and_white_scan() -> None:
    rows = np.packbits(NOISE < 128, axis=1)  # 1 is white
    coding = "/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/FlateDecode"
    image = opened(scan_pdf(80, 120, zlib.compress(rows.tobytes()), dpi=144, coding=coding))
    assert np.array_equal(np.asarray(image)[..., 0] == 255, NOISE < 128)


def test_a_damaged_scan_is_not_taken_for_an_empty_sheet(caplog: pytest.LogCaptureFixture) -> None:
    opened(scan_pdf(80, 120, b"no image data", dpi=150, coding="/ColorSpace/DeviceGray/Filter/DCTDecode"))
    assert "is blank; its image may be damaged" in caplog.text


def test_an_empty_page_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    assert opened(BLANK).getextrema() == ((255, 255),) * 3
    assert not caplog.records


# --- too large -------------------------------------------------------------------------------------------


def test_a_large_page_is_drawn_smaller_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        image = opened(BLANK, max_pixels=10_000)
    assert image.size == (84, 119)
    assert "is drawn at 10.2 dpi" in caplog.text


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (BLANK, {"dpi": 20_000}, "165354 x 233858.*\n.*\n.*pass dpi=1360 or less"),
        (BLANK, {"dpi": 300, "max_pixels": 3_869_306}, "2480 x 3508.*\n.*\n.*pass dpi=200 or less"),
        (pdf(("/MediaBox[0 0 1000000 1000000]", "")), {}, "352.8 m wide and 352.8 m high"),
        (pdf((A4 + "/UserUnit 1000000000", "")), {}, "m wide"),
        (
            scan_pdf(10**6, 10**6, zlib.compress(bytes(9)), dpi=600, coding=GREY_DATA),
            {"dpi": 1},
            "1000000 x 1000000",
        ),
        (scan_pdf(80, 120, NOISE_DATA, dpi=150, coding=GREY_DATA), {"max_pixels": 9_599}, "80 x 120"),
    ],
)
def test_what_is_too_large(content: bytes, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        opened(content, **arguments)


def test_the_limit_itself_is_allowed() -> None:
    assert opened(scan_pdf(80, 120, NOISE_DATA, dpi=150, coding=GREY_DATA), max_pixels=9_600).size == (
        80,
        120,
    )


def test_an_image_that_claims_to_be_smaller_than_it_is() -> None:
    data = io.BytesIO()
    Image.new("L", (2000, 1000), "black").save(data, "JPEG2000")
    content = scan_pdf(10, 5, data.getvalue(), dpi=100, coding="/Filter/JPXDecode")
    assert opened(content).getpixel((9, 9)) == BLACK
    with pytest.raises(ImageError, match="2000 x 1000"):
        opened(content, max_pixels=1_999_999)


def test_a_large_image_in_a_group() -> None:
    large = image_object(50_000, 50_000, zlib.compress(bytes(9)), GREY_DATA)
    group = stream("/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</I 3 0 R>>>>", b"/I Do")
    content = pdf((f"{A4}/Resources<</XObject<</G 4 0 R>>>>", "/G Do"), objects=(large, group))
    with pytest.raises(ImageError, match="50000 x 50000"):
        opened(content)


def test_black_and_white_images_may_be_larger() -> None:
    fax = io.BytesIO()
    Image.new("1", (800, 800), 1).save(fax, "TIFF", compression="group4", tiffinfo={278: 800})
    with Image.open(fax) as tiff:
        (start,), (length,) = tiff.tag_v2[273], tiff.tag_v2[279]  # type: ignore[attr-defined]
    coding = (
        "/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/CCITTFaxDecode"
        "/DecodeParms<</K -1/Columns 800/Rows 800>>"
    )
    content = scan_pdf(800, 800, fax.getvalue()[start : start + length], dpi=600, coding=coding)
    assert opened(content, max_pixels=160_000).size == (400, 400)
    with pytest.raises(ImageError, match="800 x 800"):
        opened(content, max_pixels=79_999)


# --- what cannot be read ---------------------------------------------------------------------------------


def encrypted(algorithm: str, user: str) -> bytes:
    return encrypted_pdf(pdf((A4, LOWER_LEFT)), user, algorithm)


@pytest.mark.parametrize(
    ("algorithm", "user"),
    [("RC4-128", "himitsu"), ("AES-128", "himitsu"), ("AES-256", "himitsu"), ("AES-256", "ひみつ")],
)
def test_encrypted_files(algorithm: str, user: str) -> None:
    content = encrypted(algorithm, user)
    for password in (user, "owner"):
        image = open_image(io.BytesIO(content), password=password, dpi=72)
        assert image.getpixel((10, 830)) == BLACK
    with pytest.raises(PasswordError, match="needs a password") as caught:
        open_image(io.BytesIO(content))
    assert isinstance(caught.value, ImageError)
    with pytest.raises(PasswordError, match="not its password"):
        open_image(io.BytesIO(content), password="Himitsu")


def test_a_file_that_may_be_opened_but_not_changed() -> None:
    assert opened(encrypted("AES-256", ""), dpi=72).getpixel((10, 830)) == BLACK


def test_a_password_that_is_not_needed() -> None:
    assert open_image(io.BytesIO(BLANK), password="x", dpi=72).size == (595, 842)


def test_an_unknown_protection() -> None:
    content = BLANK.replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt<</Filter/Adobe.PubSec/V 4>>/ID[<00><00>]")
    with pytest.raises(ImageError, match="in a way that cannot be read"):
        opened(content)


@pytest.mark.parametrize("kept", [9, 100, len(BLANK) // 2, len(BLANK) - 80])
def test_truncated_files(kept: int) -> None:
    with pytest.raises(ImageError, match="is a PDF that cannot be read"):
        opened(BLANK[:kept])


def test_no_pages() -> None:
    with pytest.raises(ImageError, match="without pages"):
        opened(pdf())


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    broken = pdf((A4, ""), (A4, ""), (A4, "")).replace(b"[3 0 R 5 0 R", b"[3 0 R 99 0 R")
    (tmp_path / "plan.pdf").write_bytes(broken)
    sheets = open_sheets(tmp_path / "plan.pdf")
    assert next(sheets).page == 1
    with pytest.raises(ImageError, match=r"plan.pdf \(page 2\) cannot be opened"):
        next(sheets)
    assert next(sheets).page == 3
    assert len(sheets) == 0


def test_damaged_files_give_no_other_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    whole = scan_pdf(80, 120, NOISE_DATA, dpi=150, coding=GREY_DATA, over=LOWER_LEFT)
    opened_at_all = 0
    for number in range(300):
        content = bytearray(whole)
        if number % 3 == 0:
            del content[random.integers(len(content)) :]
        else:
            for place in random.integers(0, len(content), 1 + number % 8):
                content[place] = random.integers(256)
        try:
            opened(bytes(content), max_pixels=1_000_000)
        except ImageError:
            continue
        opened_at_all += 1
    assert 0 < opened_at_all < 300


def test_without_pypdfium2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2.raw", None)
    with pytest.raises(MissingDependencyError, match="without pypdfium2"):
        opened(BLANK)


# --- one at a time ---------------------------------------------------------------------------------------


def test_threads_take_turns() -> None:
    content = scan_pdf(80, 120, NOISE_DATA, dpi=144, coding=GREY_DATA)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(opened, [content] * 24))
    assert all(np.array_equal(np.asarray(image)[..., 0], NOISE) for image in images)


def test_an_interrupt_is_seen_while_a_page_is_drawn() -> None:
    corners = np.random.default_rng(0).integers(0, 600, (2500, 4))
    content = pdf((A4, "\n".join("{} {} m {} {} l S".format(*four) for four in corners)))
    opened(BLANK)
    began = time.perf_counter()
    opened(content)
    whole = time.perf_counter() - began
    timer = threading.Timer(whole / 8, _thread.interrupt_main)
    timer.start()
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            opened(content)
    finally:
        timer.cancel()
    assert time.perf_counter() - began < whole * 0.8
    assert opened(BLANK, dpi=72).size == (595, 842)  # and the lock is free again
