"""From a diffusers model to a deployable ONNX file: ModelOpt quantizes, torch exports, passes make it load.

The only package that imports torch, diffusers and ModelOpt, and only where a function needs them: `graphfix.quantize.recipes` and
`graphfix.quantize.job` describe the work without.
"""
