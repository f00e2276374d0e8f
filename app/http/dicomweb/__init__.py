"""DICOMweb (PS3.18): films that an archive stores here by STOW-RS."""
