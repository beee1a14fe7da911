"""Bytes: SCSI commands out, replies in.  No device is touched here."""
