"""Mask2Former for inference, in plain torch: the same numbers as transformers, without importing it.

The modules follow the papers: ``swin`` (Liu et al. 2021) and ``resnet`` (He et al. 2016) are the backbones,
``pixel_decoder`` is the deformable encoder of Zhu et al. 2021 with one step of a feature pyramid, and
``transformer_decoder`` is the masked-attention decoder of Cheng et al. 2022. ``config`` says which
configurations are known, ``checkpoint`` brings the weights of a transformers directory into them.

What is left out, because only training needs it: dropout, the predictions of intermediate layers, the loss.
What is done otherwise, with the same result up to rounding: see ``deformable_attention`` and
``transformer_decoder``.
"""
