"""What stands in dist/ of a release: wheel, sdist, SBOM, licences, checksums.

``python -m tools.release`` makes and checks all of it, and stops at the first fault.
"""
