#!/usr/bin/env bash
# What a GPU does with the network at the paper's size, in under 8 minutes on a machine that has torch and no internet.
#
#     bash benchmarks/gpu.sh OUT [CARRY]
#
# CARRY (.carry) is what `make gpu-carry` made: wheels/ and emps.tar. OUT gets a JSON a stage, written figure by figure, log.txt
# and gpu.md; `lazylabels bench gpu --from OUT --write docs/performance.md` puts them on the page.
# Variables: DEVICE=cuda; LIMIT=460, seconds in all; DATA=folder with datalist.json instead of CARRY/emps.tar; PYTHON=python3;
# QUICK=1: tiny sizes, to see that it runs; STAGES: only these, in the order below.
set -u
OUT=${1:?usage: bash benchmarks/gpu.sh OUT [CARRY]} CARRY=${2:-.carry}
DEVICE=${DEVICE:-cuda} LIMIT=${LIMIT:-460} PYTHON=${PYTHON:-python3} DATA=${DATA:-}
STAGES=${STAGES:-ready peak training prediction score resume}
ROOT=$(cd "$(dirname "$0")/.." && pwd)
[ -d "$CARRY" ] && CARRY=$(cd "$CARRY" && pwd)
[ -n "$DATA" ] && DATA=$(cd "$DATA" && pwd)
WORK=$(mktemp -d)
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
SECONDS=0

finish() {
    "$PYTHON" -m lazylabels_monai.bench.gpu "$OUT" >"$OUT/gpu.md" 2>>"$OUT/log.txt" && cat "$OUT/gpu.md"
    rm -rf "$WORK"
    echo "== $SECONDS s in all"
}
trap finish EXIT

# Threads that wait for each other are no help beside a GPU, and crops are made in processes.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir "$WORK/site"
for wheel in "$CARRY"/wheels/*.whl; do
    [ -e "$wheel" ] && "$PYTHON" -m zipfile -e "$wheel" "$WORK/site" # as pip does with wheels that hold Python alone
done
export PYTHONPATH=$ROOT:$WORK/site${PYTHONPATH:+:$PYTHONPATH}

# limited NAME SECONDS COMMAND...: at most so many seconds, and not past LIMIT
limited() {
    local name=$1 most=$2 left=$((LIMIT - SECONDS)) status=0
    shift 2
    [ "$left" -lt "$most" ] && most=$left
    if [ "$most" -lt 5 ]; then
        echo "== $name: no time left"
        return 1
    fi
    echo "== $name, after $SECONDS s, at most $most s"
    timeout --kill-after=10 "$most" "$@" >>"$OUT/log.txt" 2>&1 || status=$?
    [ "$status" -eq 0 ] || { echo "== $name: exit code $status"; tail -n 15 "$OUT/log.txt"; }
    return "$status"
}

measure() { # STAGE MOST SECONDS: of which so many are measured
    limited "$1" "$2" "$PYTHON" -m lazylabels_monai.bench.gpu_stages "$1" "$OUT" --device "$DEVICE" --data "$DATA" \
        --seconds "$3" ${QUICK:+--quick}
}

cd "$WORK" || exit 1
[ -n "${QUICK:-}" ] && short=1 || short=
measure imports 45 0 || exit 1
if [ -z "$DATA" ]; then
    tar -xf "$CARRY/emps.tar" -C "$WORK" || exit 1
    DATA=$WORK/emps
fi
for stage in $STAGES; do
    case $stage in
    ready) measure ready 60 0 || exit 1 ;;
    peak) measure peak 30 "${short:-5}" ;;
    training) measure training 75 "${short:-30}" ;;
    prediction) measure prediction 45 "${short:-15}" ;;
    score)
        left=$((LIMIT - SECONDS - 60)) # scoring takes up to a minute
        [ "$left" -gt 300 ] && left=300
        if [ "$left" -lt 30 ] && [ -z "$short" ]; then
            echo "== score: no time left"
        else
            measure score 360 "${short:-$left}"
        fi
        ;;
    resume)
        left=$((LIMIT - SECONDS - 5))
        if [ "$left" -ge 60 ] || [ -n "$short" ]; then
            limited resume "$left" "$PYTHON" "$ROOT/tools/gpu_resume.py" --device "$DEVICE" --write "$OUT/resume.json" \
                ${QUICK:+--quick} --limit "$left"
        else
            echo "== resume: no time left"
        fi
        ;;
    *) echo "== $stage: there is no such stage" && exit 1 ;;
    esac
done
exit 0
