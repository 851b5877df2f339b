"""The only room that touches the file system: load without weights, save without tearing."""

from graphfix.io.external import Audit, DataFault, audit
from graphfix.io.files import digest, explain, make_folder, temporary, write_text
from graphfix.io.load import load
from graphfix.io.proto import SOURCE, Source, add_provenance, external_tensors, from_proto, read_provenance, to_proto
from graphfix.io.save import EXTERNALIZE, Saved, check_target, default_output, save, serialized

__all__ = [
    "EXTERNALIZE",
    "SOURCE",
    "Audit",
    "DataFault",
    "Saved",
    "Source",
    "add_provenance",
    "audit",
    "check_target",
    "default_output",
    "digest",
    "explain",
    "external_tensors",
    "from_proto",
    "load",
    "make_folder",
    "read_provenance",
    "save",
    "serialized",
    "temporary",
    "to_proto",
    "write_text",
]
