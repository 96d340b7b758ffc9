"""Mask2Former as a graph of OpenVINO's own operations, built straight from the weights of ``network``.

Tracing the torch modules would give the same numbers. But their code is written for torch (in place, in pieces that
fit a cache), which OpenVINO's converters take a quarter of a minute for and turn into something hardly faster than
torch; the graph here is built in a third of a second. Every module has the name of the one in ``network`` whose
arithmetic it repeats.

A graph has one fixed input shape. What depends on the shape alone (windows, positions, the places that deformable
attention starts from) is computed while it is built.
"""
