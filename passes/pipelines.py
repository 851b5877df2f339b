"""Named pipelines: text in the same language as ``--passes``, found through the entry-point group ``graphfix.pipelines``."""

# For ONNX Runtime's TensorRT-RTX EP: opset 23 for FP4, weights out of the inputs, standard Q/DQ, the types that the EP's operators lack.
TRTRTX = "opset23,init-inputs,fp4-weights,int4-native,mxfp8,fp4-qdq,trt-types,opset-imports"
