#!/usr/bin/env bash
# From a bare machine to a trained model: installs missing packages, builds elbo, trains a VAE on the shipped MNIST with
# two ranks, evaluates it and writes images. A second run only trains.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

epochs=3
options=()
for option in "$@"; do
  case $option in
    --cuda | --no-cuda) options+=("$option") ;;
    --epochs=*) epochs=${option#--epochs=} ;;
    --help)
      printf 'usage: launch/quickstart.sh [--cuda|--no-cuda] [--epochs=%s]\n' "$epochs"
      exit
      ;;
    *) fail 2 "unknown option '$option'; launch/quickstart.sh --help lists them" ;;
  esac
done

[ -e build/elbo ] || step "From here to a trained model: 5 to 15 minutes on 2 cores, nearly all for packages and the compiler" ""
launch/setup.sh --build "${options[@]}"

# Runs are kept: each start creates a new folder.
run=runs/quickstart
for ((number = 2; ; ++number)); do
  [ -e "$run" ] || break
  run=runs/quickstart-$number
done

step "Training: configs/mnist_vae.ini for $epochs epochs on 2 ranks, in $run" "training failed; the line above says why"
mpirun --oversubscribe --bind-to none -n 2 build/elbo train configs/mnist_vae.ini \
  "--train.epochs=$epochs" "--run.directory=$run"
step "Evaluation: every test image once" "evaluation failed; the line above says why"
build/elbo evaluate "$run"
step "Images: samples, reconstructions, interpolations" "writing images failed; the line above says why"
mkdir -p "$run/samples"
build/elbo sample "$run" --out="$run/samples/samples.png"
build/elbo reconstruct "$run" --out="$run/samples/reconstructions.png"
build/elbo interpolate "$run" --out="$run/samples/interpolations.png"

advice=
cat <<TEXT

The run is in $run:
  run.ini                       its configuration, every option resolved
  metrics.jsonl                 loss and terms of every step
  checkpoints/                  the model, readable with h5py
  evaluation.json               loss and terms on the test images
  samples/*.png                 samples, reconstructions, interpolations

Next steps:
  build/elbo train configs/mnist_conv.ini                       a convolutional VAE
  mpirun -n 2 build/elbo train $run/run.ini --train.epochs=10 --resume
                                                                train this one for longer
  build/elbo train YOUR_DATA.h5                                 your own data (docs/data_format.md)
  build/elbo --help                                             all commands
TEXT
