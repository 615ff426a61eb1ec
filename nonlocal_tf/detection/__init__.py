"""Mask R-CNN with non-local blocks: boxes, masks and keypoints.

The mathematics is `keras.ops` and NumPy. What `keras.ops` lacks is in
`tf_ops`, the one file here that imports TensorFlow; `import nonlocal_tf` pulls
in neither.

Boxes are `x1, y1, x2, y2` in pixels, and a box is x2 - x1 wide: there is no
+ 1, as in torchvision and detectron2 and unlike Detectron.
"""
