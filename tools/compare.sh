#!/usr/bin/env bash
# The comparisons of docs/earlier-results.md: multi-task against single-task, one process after the other, a folder for each run in
# outputs/compare. A run that has its metrics.json is left alone, so an interrupted comparison goes on where it stopped.
#   tools/compare.sh superalloy 0 1 2      SET SEED...; sets: synthetic synthetic-long superalloy emps emps-settings emps-logic
#                                          emps-objects nuclei_fluo-objects
# The real sets are made first by the commands of docs/public-sets.md.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
OUT=outputs/compare
MORE=${MORE---cpu_bfloat16 True} # faster on CPUs with bfloat16 instructions, float32 on others
THEN="'configs/experiments/settings/batch_norm.yaml','configs/experiments/settings/earlier.yaml'" # older than today's default

run() { # NAME SEED EPOCHS OVERLAYS ARGUMENTS...
    local out=$OUT/$1_s$2 seed=$2 epochs=$3 overlays="'configs/cpu.yaml',$THEN$4"
    shift 4
    [ -f "$out/metrics.json" ] && return 0
    mkdir -p "$out"
    local to=(--output_dir "$out" --ckpt_dir "$out/models")
    # shellcheck disable=SC2086
    $PYTHON -m monai.bundle run training --config_file "['bundle/configs/train.yaml',$overlays]" "${to[@]}" \
        --seed "$seed" --max_epochs "$epochs" --val_interval "${VAL_INTERVAL:-10}" $MORE "$@" >"$out/train.log" 2>&1
    $PYTHON -m monai.bundle run evaluating \
        --config_file "['bundle/configs/train.yaml','bundle/configs/evaluate.yaml',$overlays]" "${to[@]}" "$@" ${EVALUATE:-} >"$out/evaluate.log" 2>&1
    echo "$out"
    $PYTHON -m lazylabels_monai results "$out"
}

tuned() { # NAME SEED OVERLAYS DATA: the same weights, with instance settings picked on validation images
    local from=$OUT/$1_s$2 to=$OUT/$1-tuned_s$2 overlays="'configs/cpu.yaml',$THEN$3" data=${4:-data/emps}
    [ -f "$to/metrics.json" ] && return 0
    mkdir -p "$to"
    cp -r "$from/models" "$to/models"
    $PYTHON -m lazylabels_monai tune "$data" --weights "$to/models/model.pt" --overwrite >"$to/tune.log" 2>&1
    # shellcheck disable=SC2086
    $PYTHON -m monai.bundle run evaluating --config_file "['bundle/configs/train.yaml','bundle/configs/evaluate.yaml',$overlays]" \
        --output_dir "$to" --ckpt_dir "$to/models" ${EVALUATE:-} >"$to/evaluate.log" 2>&1
    echo "$to"
}

set_name=$1
shift
for seed in "${@:-0}"; do
    case $set_name in
    synthetic) # 600 steps
        run synthetic_multi-task "$seed" 30 ""
        run synthetic_unet-2-strong "$seed" 30 ",'configs/unet.yaml'"
        [ -d data/synthetic_full ] || $PYTHON -m lazylabels_monai synthetic data/synthetic_full --strong 20
        run synthetic_unet-20-strong "$seed" 30 ",'configs/unet.yaml'" --dataset_dir data/synthetic_full
        ;;
    synthetic-long) # 1800 steps: what more exact masks are worth to a single-task network that has the time to use them
        [ -d data/synthetic_full ] || $PYTHON -m lazylabels_monai synthetic data/synthetic_full --strong 20
        run synthetic-long_unet-2-strong "$seed" 90 ",'configs/unet.yaml'"
        run synthetic-long_unet-20-strong "$seed" 90 ",'configs/unet.yaml'" --dataset_dir data/synthetic_full
        ;;
    superalloy) # 400 steps
        run superalloy_multi-task "$seed" 20 ",'configs/superalloy.yaml'"
        run superalloy_unet-1-strong "$seed" 20 ",'configs/superalloy.yaml','configs/unet.yaml'"
        ;;
    emps) # 600 steps
        run emps_multi-task "$seed" 30 ",'configs/emps.yaml'"
        run emps_unet-6-strong "$seed" 30 ",'configs/emps.yaml','configs/unet.yaml'"
        ;;
    emps-settings) # what the default was chosen by, on validation images
        EVALUATE="--section validation"
        run emps_paper "$seed" 30 ",'configs/emps.yaml','configs/paper.yaml'"
        run emps_sampling-only "$seed" 30 ",'configs/emps.yaml'" --implied_segmentation False
        ;;
    emps-objects | nuclei_fluo-objects) # ways from maps to objects, each with settings picked on validation images
        EVALUATE="--val_overlap 0.25"
        VAL_INTERVAL=15
        data=${set_name%-objects}
        for method in multi-task unet-strong; do
            overlays=",'configs/$data.yaml'"
            [ $method = multi-task ] || overlays+=",'configs/unet.yaml'"
            run "${set_name}_$method" "$seed" 30 "$overlays"
            tuned "${set_name}_$method" "$seed" "$overlays" "data/$data"
        done
        ;;
    emps-logic) # the labels' own logic, on validation images: all scribbles of data/emps, and fewer labels
        EVALUATE="--section validation --val_overlap 0.25"
        VAL_INTERVAL=15
        E=",'configs/emps.yaml'"
        run emps-logic_default "$seed" 30 "$E"
        run emps-logic_detection-interface "$seed" 30 "$E" --implied_detection True --implied_interface True
        EVALUATE="--val_overlap 0.25" # the test images
        tuned emps-logic_default "$seed" "$E"
        tuned emps-logic_detection-interface "$seed" "$E"
        EVALUATE="--section validation --val_overlap 0.25"
        VAL_INTERVAL=10
        [ -d data/emps_sparse ] || $PYTHON -m lazylabels_monai simulate "${LAZYLABELS_DATA:?}/emps" data/emps_sparse --strong 6 \
            --detection 30 --separation 15 --subset train=60 --subset val=10 --scale 0.5 --classes particle
        S="--dataset_dir data/emps_sparse"
        # shellcheck disable=SC2086
        {
            run emps-sparse_default "$seed" 20 "$E" $S
            run emps-sparse_detection "$seed" 20 "$E" $S --implied_detection True
            run emps-sparse_detection-separation "$seed" 20 "$E" $S --implied_detection True --implied_separation True
            run emps-sparse_detection-interface "$seed" 20 "$E" $S --implied_detection True --implied_interface True
        }
        ;;
    *)
        echo "tools/compare.sh: no set '$set_name': synthetic, synthetic-long, superalloy, emps, emps-settings, emps-logic, emps-objects or nuclei_fluo-objects" >&2
        exit 1
        ;;
    esac
done
