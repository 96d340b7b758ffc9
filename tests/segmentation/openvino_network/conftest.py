from tests.segmentation.network.conftest import one_thread, random_model

__all__ = ["one_thread", "random_model"]
