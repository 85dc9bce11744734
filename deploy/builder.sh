# Sourced: sets BUILDER, if it is not set, to the first builder of images that works here.
# A docker without its daemon does not.
if [ -z "${BUILDER:-}" ]; then
  for BUILDER in docker podman buildah; do
    "$BUILDER" info >/dev/null 2>&1 && break
    BUILDER=
  done
fi
if [ -z "$BUILDER" ]; then
  echo "$0 needs docker, podman or buildah, and none of them works here." >&2
  exit 2
fi
