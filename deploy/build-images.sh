#!/usr/bin/env bash
# Builds the images of the three services, and has each print the help of its service.
# Needs docker, podman or buildah (BUILDER names one). BUILD_FLAGS are further words for its
# build command: --volume, --build-arg PIP_INDEX_URL=..., --isolation=chroot.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/builder.sh

read -ra flags <<<"${BUILD_FLAGS:-}"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' queen/__init__.py)

for service in inference sensitivity perturber; do
  image="queen-$service:$version"
  "$BUILDER" build "${flags[@]}" --file "services/$service/Dockerfile" --tag "$image" .
  if [ "$BUILDER" = buildah ]; then
    container=$(buildah from "$image")
    buildah run "$container" -- python -m "queen_$service" --help >/dev/null
    buildah rm "$container" >/dev/null
  else
    "$BUILDER" run --rm "$image" --help >/dev/null
  fi
  echo "ok     $image"
done
