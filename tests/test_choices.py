from nonlocal_tf.choices import unknown


def test_a_near_name_is_suggested():
    assert "Did you mean 'dot_product'?" in unknown(
        "function", "dotproduct", ["gaussian", "dot_product"]
    )


def test_a_name_in_another_case_is_the_nearest():
    assert "'adamw'?" in unknown("optimizer", "adamW", ["adam", "adamw"])
    assert "'C2D'?" in unknown("network", "c2d", ["c3d", "C2D"])


def test_a_far_name_gets_the_list_alone():
    text = unknown("function", "zzz", ["gaussian", "dot_product"])
    assert "Did you mean" not in text
    assert text.endswith("Expected one of: gaussian, dot_product.")
