import json

from kkg_area_detection.segmentation.network_config import read_network_config


def write(path, fields):
    path.write_text(json.dumps(fields))


def test_nothing_that_fetches_is_left(tmp_path):
    fetching = {"use_pretrained_backbone": True, "backbone": "someone/somewhere", "auto_map": {}}
    backbone = {"model_type": "swin", "embed_dim": 96} | fetching
    write(tmp_path / "config.json", {"model_type": "mask2former", "backbone_config": backbone} | fetching)
    assert read_network_config(tmp_path) == {
        "model_type": "mask2former",
        "backbone_config": {"model_type": "swin", "embed_dim": 96},
    }


def test_name_of_a_timm_backbone_is_its_architecture(tmp_path):
    backbone = {"model_type": "timm_backbone", "backbone": "resnet50", "use_pretrained_backbone": True}
    write(tmp_path / "config.json", {"model_type": "mask2former", "backbone_config": backbone})
    assert read_network_config(tmp_path)["backbone_config"] == backbone | {"use_pretrained_backbone": False}
