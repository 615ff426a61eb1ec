"""Attention maps of non-local blocks, receptive fields and plots.

`nonlocal_tf.attention_map` computes the map of one query pixel;
`block_attention.BlockAttention` those of several on one clip;
`plots.attention_plot` draws them on the frames.
"""
