#!/usr/bin/env bash
# Renders every kustomization, validates each document against the schemas of the
# oldest and the newest Kubernetes that we support, and lints the Dockerfiles.
# Needs kubectl, kubernetes-validate and hadolint; needs no cluster and no network.
set -euo pipefail
cd "$(dirname "$0")/.."

OLDEST=1.30
NEWEST=1.37
# Kinds of the Prometheus operator: no schema of Kubernetes knows them.
FOREIGN='kind PodMonitor with api version monitoring.coreos.com/v1 
kind PrometheusRule with api version monitoring.coreos.com/v1 '

for tool in kubectl kubernetes-validate hadolint; do
  if ! command -v "$tool" >/dev/null; then
    echo "deploy/check.sh needs $tool on the PATH and did not find it." >&2
    exit 2
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

validate() { # FILE VERSION: prints findings, fails if there is one
  local findings
  findings=$(kubernetes-validate --strict --quiet -k "$2" "$1" 2>&1 | grep -vF "$FOREIGN" || true)
  [ -z "$findings" ] || { echo "$findings"; return 1; }
}

while IFS= read -r file; do
  folder=$(dirname "$file")
  # A component of patches alone is rendered with the overlays that use it.
  if grep -q '^kind: Component' "$file" && ! grep -q '^resources:' "$file"; then continue; fi
  rendered="$work/$(basename "$folder").yaml"
  if ! kubectl kustomize "$folder" >"$rendered" || [ ! -s "$rendered" ]; then
    echo "FAILED $folder: it does not render"
    failed=1
    continue
  fi
  for version in "$OLDEST" "$NEWEST"; do
    if validate "$rendered" "$version"; then
      echo "ok     $folder against Kubernetes $version"
    else
      echo "FAILED $folder against Kubernetes $version"
      failed=1
    fi
  done
done < <(find deploy/k8s -name kustomization.yaml | sort)

for file in services/*/Dockerfile; do
  if hadolint "$file"; then echo "ok     $file"; else
    echo "FAILED $file"
    failed=1
  fi
done
exit "$failed"
