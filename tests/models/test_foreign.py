"""Public checkpoints that deepmat does not run are named in the error."""

import pytest
import torch
from safetensors.torch import save_file

from deepmat.errors import CheckpointError
from deepmat.models import load_model
from deepmat.models.foreign import FOREIGN
from deepmat.subject.finders.known import NETWORKS

# Names as the modules of each repository give them, some with what DataParallel puts before them.
KEYS = {
    "FBA Matting": ["encoder.conv1.weight", "encoder.layer4.0.conv1.weight", "decoder.ppm.0.1.weight"]
    + ["decoder.conv_up4.0.weight"],
    "GCA Matting": ["module.encoder.gca.guidance_conv.weight", "module.encoder.guidance_head.1.module.weight_bar"],
    "IndexNet Matting": ["layer0.0.weight", "index0.indexnet1.0.weight", "index4.indexnet1.0.weight"]
    + ["dconv_pp.aspp1.atrous_conv.0.weight", "decoder_layer0.dconv.0.weight"],
    "MODNet": ["module.backbone.model.features.0.0.weight", "module.lr_branch.se_block.fc.0.weight"]
    + ["module.hr_branch.tohr_enc2x.layers.0.weight", "module.f_branch.conv_lr4x.layers.0.weight"],
    "Robust Video Matting": ["backbone.features.0.0.weight", "aspp.aspp1.0.weight", "project_mat.conv.weight"],
    "AEMatter": ["start_conv0.0.weight", "start_conv.0.weight", "trans.patch_embed.proj.weight"],
    "BiRefNet": ["bb.patch_embed.proj.weight", "squeeze_module.0.conv_in.weight", "decoder.conv_out1.0.weight"],
    "ViTMatte in its authors' format": ["backbone.pos_embed", "backbone.blocks.0.norm1.weight"]
    + ["decoder.convstream.convs.0.conv.weight"],
    "ViTMatte without its config.json": ["backbone.embeddings.position_embeddings"]
    + ["backbone.encoder.layer.0.norm1.weight", "decoder.convstream.convs.0.conv.weight"],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_public_networks_are_named(tmp_path, name):
    save_file({key: torch.zeros(1) for key in KEYS[name]}, tmp_path / "w.safetensors")
    message = f"w.safetensors: weights of {name}; {FOREIGN[name].advice[:20]}"
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_the_finder_that_is_named_is_one():
    assert any(FOREIGN["BiRefNet"].advice.endswith(f"--finder {finder}") for finder in NETWORKS)


def test_others_are_not_taken_for_one(tmp_path):
    save_file({"encoder.layer1.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="not a model that deepmat knows"):
        load_model(tmp_path / "w.safetensors")
