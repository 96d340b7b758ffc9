"""A model directory and an image in, a ``SegmentationResult`` out.

Import from the modules themselves: this file imports nothing, so that the package stays free of torch until
a model is really loaded.
"""
