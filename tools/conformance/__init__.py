"""The corpora that the opset pass is measured with; see ``tools/opset_conformance.py``."""
