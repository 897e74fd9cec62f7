#!/bin/sh
# Makes the namespace, keeps its retention as configured, and registers our search attributes; safe to repeat.
set -eu

tries=0
until temporal operator cluster health; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || { echo "Temporal does not answer at $TEMPORAL_ADDRESS" >&2; exit 1; }
  sleep 2
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi

# A new namespace is known everywhere only after a few seconds.
tries=0
until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
  --name DecisionState --type Keyword --name RiskTier --type Keyword \
  --name Location --type Keyword --name Supplier --type Keyword; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || { echo "the search attributes could not be registered" >&2; exit 1; }
  sleep 2
done
