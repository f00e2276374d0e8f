"""The DICOM port: C-STORE and C-ECHO, behind a front that a stranger can't wear out.

`listener.Listener` is what the process of its own runs. On the way in: `association_server` lets a
connection wait until its request for an association is there, whoever `app.exchange.caller_list`
allows,
`pdu_socket` bounds what comes then, `film_receiver` keeps films. pynetdicom is imported here, and
by the first partner that results are sent to.
"""
