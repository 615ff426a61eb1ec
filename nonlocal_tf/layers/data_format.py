"""Check of Keras' global setting for the axis of channels."""

import keras


def check_channels_last(data_format: str | None = None) -> None:
    """Check that channels come last.

    The last axis would be taken for the channels in silence otherwise.

    Args:
        data_format: that of a layer. Default: Keras' setting.

    Raises:
        ValueError: it is "channels_first".
    """
    setting = keras.config.image_data_format()
    if (data_format or setting) != "channels_last":
        raise ValueError(
            "Expected channels last, such as (batch, height, width, channels) "
            "or (batch, time, height, width, channels). Call "
            "keras.config.set_image_data_format('channels_last') before "
            "building or loading; for feature maps with channels first, put "
            "keras.layers.Permute((2, 3, 1)) before and "
            "keras.layers.Permute((3, 1, 2)) after, for clips "
            "Permute((2, 3, 4, 1)) and Permute((4, 1, 2, 3)). Received: "
            f"data_format={data_format or setting!r}"
        )
