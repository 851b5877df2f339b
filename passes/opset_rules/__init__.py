"""The rewrites of the opset pass, named in ``graphfix/facts/opset_changes.tsv``: ``to_N`` for the way up to N, ``down_N`` for the way down.

A rule edits one node in place, so that its name, doc string and metadata stay, and returns the reason why the result means the same;
an empty string says that this node needed nothing. Nodes that a rule adds are written for the opset of the step and migrate with the rest.
"""

from __future__ import annotations

from graphfix_passes.opset_rules import (
    down_11,
    down_18,
    down_23,
    to_2,
    to_3,
    to_4,
    to_5,
    to_6,
    to_7,
    to_9,
    to_10,
    to_11,
    to_12,
    to_13,
    to_14,
    to_16,
    to_18,
    to_19,
    to_20,
    to_21,
    to_22,
    to_23,
    to_28,
)
from graphfix_passes.opset_rules.edit import Edit, Rule
from graphfix_passes.opset_rules.narrow import narrow

__all__ = ["DOWNGRADES", "UPGRADES", "Edit", "Rule"]

UPGRADES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        to_2.pad_paddings,
        to_2.pool_p,
        to_2.split_sizes,
        to_3.gru_direction,
        to_4.concat_axis,
        to_5.reshape_input,
        to_6.cast_by_number,
        to_6.consumed_inputs,
        to_6.selu_constants,
        to_6.tile_repeats,
        to_7.gemm_broadcast,
        to_7.numpy_broadcast,
        to_7.output_sequence,
        to_7.prelu_slope,
        to_7.inference_only,
        to_7.upsample_sides,
        to_9.batch_norm_spatial,
        to_9.scan_batch,
        to_9.upsample_scales,
        to_10.dropout_mask,
        to_10.slice_inputs,
        to_10.topk_input,
        to_10.upsample_to_resize,
        to_11.clip_inputs,
        to_11.pad_inputs,
        to_11.resize_coordinates,
        to_11.scatter_elements,
        to_12.dropout_ratio,
        to_13.axes_input,
        to_13.erf_integers,
        to_13.resize_modes,
        to_13.softmax_axis,
        to_13.split_input,
        to_14.batch_norm_training,
        to_16.roi_align_coordinates,
        to_18.split_count,
        to_19.quantize_integers,
        to_20.dft_axis,
        to_20.grid_sample_modes,
        to_21.group_norm_per_channel,
        to_22.pool_shapes,
        to_23.quantize_precision,
        to_28.reduce_log_integers,
    )
}

DOWNGRADES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        narrow,
        down_11.axes_attribute,
        down_11.inference_norm,
        down_11.resize_inputs,
        down_11.roi_align_mode,
        down_11.shape_slice,
        down_11.softmax_matrix,
        down_11.split_attribute,
        down_18.dft_axis_attribute,
        down_18.grid_sample_names,
        down_18.group_norm_per_group,
        down_18.pad_all_axes,
        down_18.pad_wrap,
        down_18.pool_dilations,
        down_18.pool_shapes_down,
        down_18.quantize_output,
        down_18.resize_symmetric,
        down_18.scatter_reduction,
        down_18.split_equal,
        down_23.attention_mask,
        down_23.attention_window,
        down_23.dequantize_type,
        down_23.floor_mod,
        down_23.quantize_type,
    )
}
