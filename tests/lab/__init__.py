"""A laboratory: a real Linux SCSI stack and a real iSCSI target in one user-mode-linux kernel."""
