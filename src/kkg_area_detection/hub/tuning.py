"""How much at a time, how many at once, and for how long: the numbers behind a transfer."""

WORKERS = 8
RANGE_BYTES = 32 << 20
VERIFY_ATTEMPTS = 3

# One read: at first, at least, and at most.
FIRST_CHUNK_BYTES = 1 << 16
LEAST_CHUNK_BYTES = 1 << 13
CHUNK_BYTES = 1 << 20

# A connection that is slower than this for so long is given up, and another one tried.
SLOW_WINDOW_S = 15.0
SLOW_BYTES_PER_S = 8192

POLL_S = 0.2  # how long Ctrl-C may wait for the main thread
