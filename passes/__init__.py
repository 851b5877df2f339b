"""The built-in passes, one per file. The engine finds them through the entry-point group ``graphfix.passes``, like anyone's."""
