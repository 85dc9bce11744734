#!/usr/bin/env bash
# Makes the base image of the Dockerfiles from Debian's packages, where no registry with the
# official one can be reached: Debian with its Python 3.11, pip and venv, under the same name.
# Needs root, debootstrap, a Debian mirror (MIRROR), and docker, podman or buildah (BUILDER).
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/builder.sh

name=$(sed -n 's/^FROM \([^$ ]*\).*/\1/p' services/inference/Dockerfile | head -1)
suite=${name##*-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3.11,python3.11-venv,python3-pip \
  "$suite" "$work/root" "${MIRROR:-http://deb.debian.org/debian}"
# The official image has `python` and a pip that may install beside it.
ln -s /usr/bin/python3.11 "$work/root/usr/local/bin/python"
rm -f "$work/root/usr/lib/python3.11/EXTERNALLY-MANAGED"
rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists"
tar -C "$work/root" --exclude './dev/*' --exclude './proc/*' --exclude './sys/*' -cf "$work/root.tar" .

if [ "$BUILDER" = buildah ]; then
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/root.tar" /
  buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$name"
else
  "$BUILDER" import "$work/root.tar" "$name"
fi
echo "made $name"
