"""The face: the fence agent API on stdin and argv."""
