"""SPC as the simulator reads it: one test per statement, with the bytes typed by hand."""
