"""What makes the documentation and a release; served by nothing and in no wheel.

reference/  the generated pages of docs/reference: `make reference`
site        what MkDocs needs to know of this checkout: `make docs`
release/    what stands in dist/ besides the wheel: `make release`
"""
