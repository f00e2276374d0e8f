"""The queue between an archive and Neumo: films that wait to be read, results to be delivered.

`outbox.Outbox` is what others use, from several processes at once. It holds what names patients, as
the audit trail never does: sealed (`app.records.integrity.seal`), and for no longer than the
settings say.
"""
