"""``python -m kkg_area_detection`` is the command ``kkg``."""

from kkg_area_detection.cli.main import main

if __name__ == "__main__":
    main()
