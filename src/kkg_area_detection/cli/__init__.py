"""The command ``kkg-area-detection`` (alias ``kkg``): parses arguments, draws progress, prints. No logic."""
