"""Neumo's training half: labelled X-rays in, a model bundle out.

From the command down; each imports only what stands below it:

``__main__``  the entry point of ``neumo-train``, even where its dependencies are missing
``commands``  what ``neumo-train`` can do, and its exit codes
``arguments`` its flags: one for each setting
``compare``   two models on the same images, paired by patient
``html_report`` a run or a bundle on one page of HTML
``asking``    a model asked about images that it was not fitted to
``sweep``     a recipe's settings searched for, trial by trial
``release``   a run becomes a bundle; a bundle is measured anew
``holdout``   the recipe trained without each source in turn: thresholds for a new hospital
``measure``   graphs run as they are served: figures of a split, audit, images changed
``export``    the network as ONNX graphs, float32 and int8; what is calibrated in them
``fit``       the network and its training loop: loss, sampling, schedule, teachers
``run``       the folder of a run, resumed to the bit; its history, curves, environment
``devices``   processes that train one network together, as torchrun starts them
``augment``   images changed at random, against what tells hospitals apart
``report``    what people read: plots, the card written out
``metrics``   figures of labels and probabilities, with intervals by patient
``data``      the manifest, the splits by patient, the images in memory, the check before
``recipe``    a recipe file and the command line become settings; ``recipes/`` come with neumo
``config``    the settings of a run, and the labels
``meter``     how far something long has come: a bar, or lines
``files``     files and folders that appear whole or not at all

Images are read through serving's own code (`app.image`), bundles are what `app.model` reads;
nothing else of serving is known here but its errors, language and machine.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any import of it: see `app`
