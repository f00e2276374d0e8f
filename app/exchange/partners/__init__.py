"""Partners that get results: an archive by C-STORE or STOW-RS, a FHIR server.

`partner_list.open_partners` makes them as the settings name them; each takes some kinds of result
and says, of every object that it is sent, whether it has it now (`sending.Sent`).
"""
