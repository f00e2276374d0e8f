#!/bin/sh
# Starts Orthanc in its container, with the password of a secret. Without one anybody would get in.
set -eu
here=$(dirname "$0")
ORTHANC_PASSWORD=$(cat "$ORTHANC_PASSWORD_FILE")
if [ -z "$ORTHANC_PASSWORD" ]; then
    echo "There is no password in $ORTHANC_PASSWORD_FILE: docs/pacs.md says how to make one." >&2
    exit 1
fi
export ORTHANC_PASSWORD
exec /usr/sbin/Orthanc "$here/orthanc.json"
