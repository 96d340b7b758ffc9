import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.preprocessing import BoxLimits, EdgeLimits, FixedSize, ProcessorSettings
from kkg_area_detection.segmentation.windows import Box, TileSettings, choose_tiles, lay_out

A4, A3, A2 = (1654, 2339), (2339, 3307), (3307, 4677)  # at 200 dpi
A1, A0 = (4677, 6622), (6622, 9362)
USUAL = ProcessorSettings()  # 800 to 1333 pixels
SMALL = ProcessorSettings(kind="maskformer", size=EdgeLimits(256, 256))
FIXED = ProcessorSettings(kind="maskformer", size=FixedSize(512, 1024))
BOXED = ProcessorSettings(kind="maskformer", size=BoxLimits(1024, 1024))
UNSCALED = ProcessorSettings(kind="maskformer", do_resize=False)
HUGE = ProcessorSettings(size=FixedSize(4096, 4096))


@pytest.mark.parametrize(
    ("settings", "image_size", "expected"),
    [
        (USUAL, (800, 600), None),
        (USUAL, A4, None),
        (USUAL, A3, None),
        (USUAL, (2480, 3508), None),  # A4 at 300 dpi
        (USUAL, A2, TileSettings(1654, 413)),
        (USUAL, A2[::-1], TileSettings(1654, 413)),
        (USUAL, A0, TileSettings(1654, 413)),
        (USUAL, (300, 9000), TileSettings(1654, 413)),
        (SMALL, (1600, 1200), None),
        (SMALL, A3, TileSettings(1024, 256)),
        (SMALL, A0, TileSettings(1024, 256)),
        (BOXED, A3, None),
        (BOXED, A1, TileSettings(2339, 584)),
        (FIXED, A3[::-1], None),
        (FIXED, A1[::-1], TileSettings(1654, 413)),
        (UNSCALED, A0, None),  # the network sees every pixel as it is
        (HUGE, A2, None),
    ],
)
def test_automatic(settings, image_size, expected):
    assert choose_tiles("auto", image_size, settings) == expected


@pytest.mark.parametrize(
    ("tile", "image_size", "expected"),
    [
        (None, A0, None),
        ((1000, 200), A0, TileSettings(1000, 200)),
        ([1000, 200], A0, TileSettings(1000, 200)),
        (TileSettings(1000, 200), (1001, 10), TileSettings(1000, 200)),
        (TileSettings(1000, 200), (1000, 1000), None),
        ((64, 32), A4, TileSettings(64, 32)),
        ((64, 1), A4, TileSettings(64, 1)),
    ],
)
def test_asked_for(tile, image_size, expected):
    assert choose_tiles(tile, image_size, USUAL) == expected


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ("yes", "tile is 'yes'"),
        ("ab", "tile is 'ab'"),
        (1024, "tile is 1024"),
        ((1024,), "tile is"),
        ((1024, 256, 1), "tile is"),
        ((1024.0, 256), "whole numbers"),
        (("1024", "256"), "whole numbers"),
        ((True, 1), "whole numbers"),
        ((63, 20), "at least 64 pixels"),
        ((-1024, 256), "at least 64 pixels"),
        ((1024, 0), "at least 1 pixel"),
        ((1024, 513), "at most half"),
    ],
)
def test_what_cannot_be_windows(tile, message):
    with pytest.raises(UsageError, match=message):
        choose_tiles(tile, (10, 10), USUAL)


@pytest.mark.parametrize(
    ("settings", "image_size", "tiles", "grid_shape", "windows"),
    [
        # A cell is 16 pixels wide: the input is 256 pixels, the mask 64 cells.
        (SMALL, (1024, 1024), (1024, 256), (64, 64), [(0, 0, 64, 64)]),
        (SMALL, (1024, 1039), (1024, 256), (64, 64), [(0, 0, 64, 64)]),  # less than a cell is left over
        (SMALL, (1024, 1040), (1024, 256), (65, 64), [(0, 0, 64, 64), (1, 0, 65, 64)]),
        (SMALL, (1792, 1024), (1024, 256), (64, 112), [(0, 0, 64, 64), (0, 48, 64, 112)]),
        (
            SMALL,
            (1808, 1024),
            (1024, 256),
            (64, 113),
            [(0, 0, 64, 64), (0, 24, 64, 88), (0, 49, 64, 113)],
        ),
        # A side that is shorter than a window: the input keeps the proportions.
        (SMALL, (2048, 512), (1024, 512), (32, 128), [(0, left, 32, left + 64) for left in (0, 32, 64)]),
        # A mask that is finer than the picture is read at the picture's pixels.
        (SMALL, (100, 64), (64, 32), (64, 100), [(0, left, 64, left + 64) for left in (0, 18, 36)]),
        # This processor's masks always have 384 x 384 cells.
        (
            USUAL,
            (1600, 768),
            (768, 384),
            (384, 800),
            [(0, left, 384, left + 384) for left in (0, 138, 277, 416)],
        ),
        (UNSCALED, (128, 64), (64, 2), (16, 32), [(0, 0, 16, 16), (0, 8, 16, 24), (0, 16, 16, 32)]),
    ],
)
def test_windows_stand_at_whole_cells(settings, image_size, tiles, grid_shape, windows):
    layout = lay_out(image_size, TileSettings(*tiles), settings)
    assert layout.grid_shape == grid_shape
    assert layout.windows == [Box(*window) for window in windows]


@pytest.mark.parametrize(
    "settings", [SMALL, USUAL, UNSCALED, FIXED], ids=["small", "usual", "unscaled", "fixed"]
)
@pytest.mark.parametrize("tiles", [(100, 1), (100, 50), (256, 64), (333, 77), (1024, 300)])
@pytest.mark.parametrize("image_size", [(257, 64), (1000, 700), (333, 1025), (1024, 1), (2049, 1500)])
def test_every_layout(settings, tiles, image_size):
    layout = lay_out(image_size, TileSettings(*tiles), settings)
    image = Image.new("RGB", image_size)
    for side, length in ((layout.columns, image_size[0]), (layout.rows, image_size[1])):
        cell = side.window / side.window_cells
        assert side.starts[0] == 0
        assert 0 <= length - side.cells * cell < cell  # all but the part of a cell at the end
        for start, following in zip(side.starts, side.starts[1:], strict=False):
            assert (start + side.window_cells - following) * cell >= min(tiles[1], side.window - cell)
            assert following > start
        index, middles = side.cell_of_pixel(), side.middle_pixels()
        assert len(index) == length
        assert (np.diff(index) >= 0).all()
        assert (index[middles] == np.arange(side.cells)).all()
        assert all(index[side.first_pixel(start)] == start for start in side.starts)
    for window in (layout.windows[0], layout.windows[-1]):
        left, top = layout.columns.first_pixel(window.left), layout.rows.first_pixel(window.top)
        crop = layout.crop(window, image)
        assert crop.size == (layout.columns.window, layout.rows.window)
        assert left + crop.width <= image_size[0]
        assert top + crop.height <= image_size[1]
