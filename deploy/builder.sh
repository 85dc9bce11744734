# Sourced: sets BUILDER to the first builder of images on the PATH, if it is not set.
if [ -z "${BUILDER:-}" ]; then
  for BUILDER in docker podman buildah; do
    command -v "$BUILDER" >/dev/null && break
    BUILDER=
  done
fi
if [ -z "$BUILDER" ]; then
  echo "$0 needs docker, podman or buildah on the PATH and found none." >&2
  exit 2
fi
