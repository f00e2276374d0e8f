"""Neumo's serving half: a chest X-ray comes in through a door, what is said of it goes out.

    door -> bytes -> image -> model -> reading -> render -> door

Rooms, top to bottom; a room imports only what stands below it:

    cli/         the command neumo, a module a command: read/, run/, archive/, hospital/, admin/;
                 checks/
    server/      processes and sockets; knows uvicorn: supervisor, worker, port, acceptor, tls,
                 connection/, receiving/
    main         create_app: the one place that wires rooms together
    http/        from an ASGI scope to service.read and back: front/, body/, routes/,
                 dicomweb/, v2/, watch/, pages/
    score/       an archive of films in, Parquet out: score_run, source, film_list, score_row,
                 parquet_part, score_ledger, engines/
    exchange/    hospital partners, films in and results out: film_sort, caller_list, film_reader,
                 deliverer, reading_process, reconcile, dicomweb_archive, exchange_metrics, dimse/,
                 partners/
    access/      who may ask for what, and how often: access, caller, key, key_file, keyring, rates,
                 tokens, issuer
    records/     what is written down, and what it shows: records, trail, writer, courier,
                 diagnosis, performance, audit_metrics, integrity/, store/, outbox/, migrations/,
                 revisions/
    service/     who is read now, and how it is counted: service, admission, telemetry, logs,
                 processes, witness, trace, tracing, active/
    settings/    every NEUMO_* setting, frozen: settings, access_settings, tls_settings,
                 cors_origins, model_settings, audit_settings, tracing_settings,
                 exchange_settings
    render/      one Reading, many shapes: reading_json, reading_tensors, problem, overlay, legend,
                 film_picture, wording, hl7_message,
                 hospital/
    acceptance/  a model measured on a hospital's own films: films, survey, site_figures, floors,
                 site_temperature, acceptance_run, acceptance_text
    reading/     numbers become what is said: reader, judge, refusal, priors, population,
                 subject_words
    model/       a bundle, checked, in a session: card, labels, bundle, session, load, registry,
                 signature, choice, measured/
    image/       bytes become 224 x 224 grey pixels: decode, jpeg, png, resize, window,
                 dicom/
    web/         the page for people, as files that a browser runs (HTML, CSS, JavaScript)
    errors/      the tree of all errors: base_errors, call_errors, image_errors, access_errors,
                 record_errors, bundle_errors, score_errors
    language     the two languages
    machine      what this computer gives

`model.bundle` is the contract with `training`, which reads its images through `image` too.
"""

import os

# ONNX Runtime sends usage data to its maker from the moment it is imported, and keeps a device's id
# in the home folder. It asks this once: so it is set before anything here can import it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.2.0"
"""The one place where the version stands: wheel, `neumo --version`, OpenAPI and image take it."""
