"""Named pipelines: text in the same language as ``--passes``, found through the entry-point group ``graphfix.pipelines``."""

# For ONNX Runtime's TensorRT-RTX EP: opset 23 for FP4; weights out of the inputs and in a form that both doors know; Casts, Q/DQ, types and
# annotations that agree; the imports that the nodes need. Not in it, because a file deploys without: fp8-native, io, node-names,
# static-shapes and symbolic-dims.
TRTRTX = (
    "known-defects,opset23,init-inputs,fp4-weights,int4-weights,int4-native,mxfp8,rotary,einsum-transpose,exporter-casts,fp4-qdq,"
    "trt-types,annotations,opset-imports"
)
