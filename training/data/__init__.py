"""Data: labelled X-rays, checked, split by patient, held in memory as the network reads them.

A manifest or folders become `manifest.Sample`s, `splits.divide` says what each is for, and
`splits.load_splits` reads them into `images.ImageSet`s. `inventory` looks a data set over first.
"""
