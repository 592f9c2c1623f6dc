#!/usr/bin/env bash
# The figures of docs/results.md on the variants, from real data: variants.sh SECTION…, or all.
# Runs and their outputs are in runs/variants (RUNS=…); the scripts need a Python with NumPy, h5py and PyTorch (PYTHON=…).
set -euo pipefail
cd "$(dirname "$0")/../.."
RUNS=${RUNS:-runs/variants} PYTHON=${PYTHON:-python3} ELBO=${ELBO:-build/elbo}
mkdir -p "$RUNS"

# learn NAME CONFIG [SETTING…]: trains a run of that name and prints its time
learn() {
    local name=$1
    shift
    rm -rf "${RUNS:?}/$name"
    local begin=$SECONDS
    "$ELBO" train "$@" --evaluate.every=never --run.directory="$RUNS/$name" 2> "$RUNS/$name.log" | tail -1 > "$RUNS/$name.fingerprint"
    echo "$name: $((SECONDS - begin)) s"
}

# figures NAME KEY…: prints numbers of its evaluation; nll with SAMPLES=… importance samples
figures() {
    local name=$1
    shift
    rm -f "$RUNS/$name.json"
    "$ELBO" evaluate "$RUNS/$name" --importance_samples="${SAMPLES:-0}" --out="$RUNS/$name.json" > /dev/null 2>> "$RUNS/$name.log"
    "$PYTHON" - "$RUNS/$name.json" "$name" "$@" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))
print(sys.argv[2] + ":", "  ".join(f"{key} {found[key]:.2f}" for key in sys.argv[3:] if found.get(key) is not None))
PYTHON
}

made() { # made NAME COMMAND FILE [OPTION…]
    "$ELBO" "$2" "$RUNS/$1" --out="$RUNS/$3" --force "${@:4}" 2>> "$RUNS/$1.log"
}

# Three epochs of every configuration for MNIST: figures, and images of samples.
overview() {
    local config name
    for config in configs/mnist_*.ini; do
        name=$(basename "$config" .ini)
        learn "$name" "$config" --train.epochs=3
        figures "$name" loss reconstruction kl psnr active_units perplexity codes_in_use
        made "$name" sample "$name.png" --n=32
    done
}

# The guide's first comparison: reconstructions, samples and interpolations of an autoencoder and a VAE.
autoencoder_and_vae() {
    local name
    for name in autoencoder vae; do
        learn "pair_$name" configs/mnist_autoencoder.ini --model.name=$name --train.epochs=10
        figures "pair_$name" reconstruction kl psnr
        made "pair_$name" sample "pair_$name.h5" --n=10000
        made "pair_$name" interpolate "pair_${name}_walks.h5" --n=500 --steps=11
        made "pair_$name" sample "pair_$name.png" --n=32
        made "pair_$name" interpolate "pair_${name}_walks.png" --n=4 --steps=8
    done
    "$PYTHON" tests/bench/quality.py autoencoder="$RUNS/pair_autoencoder.h5" vae="$RUNS/pair_vae.h5" \
        autoencoder_walks="$RUNS/pair_autoencoder_walks.h5" vae_walks="$RUNS/pair_vae_walks.h5"
}

# Its second comparison: the same networks as adversaries and as a VAE, three seeds of each.
gan_and_vae() {
    local name seed files_gan='' files_vae=''
    for seed in 1 2 3; do
        learn "game_gan_$seed" configs/mnist_gan.ini --train.steps=1000 --train.seed=$seed
        learn "game_vae_$seed" configs/mnist_vae.ini --train.steps=1000 --train.seed=$seed \
            --network.hidden=400,400 --network.activation=leaky_relu
        for name in gan vae; do
            figures "game_${name}_$seed" psnr
            made "game_${name}_$seed" sample "game_${name}_$seed.h5" --n=10000
        done
        files_gan+=",$RUNS/game_gan_$seed.h5" files_vae+=",$RUNS/game_vae_$seed.h5"
    done
    "$PYTHON" tests/bench/quality.py vae="${files_vae#,}" gan="${files_gan#,}"
}

# Sprites of known factors: one of 40 of all 737,280.
factors() {
    [ -f "$RUNS/sprites.h5" ] || "$ELBO" convert sprites --every=40 --out="$RUNS/sprites.h5"
    local name
    for name in vae "factor_vae --model.gamma=20" "beta_tc_vae --model.beta=6"; do
        # shellcheck disable=SC2086 # a name and its settings
        learn "sprites_${name%% *}" "$RUNS/sprites.h5" --model.name=$name --model.latent=10 --model.likelihood=bernoulli \
            --network.kind=mlp --network.hidden=256,256 --train.epochs=20 --train.batch=64 --train.microbatch=64 \
            --data.validation_fraction=0
        made "sprites_${name%% *}" encode "sprites_${name%% *}.h5" "$RUNS/sprites.h5" --split=train
        "$PYTHON" tests/bench/factors.py "$RUNS/sprites_${name%% *}.h5" "$RUNS/sprites.h5"
    done
}

# Does the aggregated posterior match the prior?
prior_matched() {
    local common=(--model.latent=8 "--network.hidden=400,400" --train.epochs=20) name
    learn matched_aae configs/mnist_aae.ini "${common[@]}" --model.prior=normal --model.use_labels=false
    learn matched_autoencoder configs/mnist_autoencoder.ini "${common[@]}"
    for name in aae autoencoder; do
        made "matched_$name" encode "matched_$name.h5" datasets/mnist.h5 --split=test
        "$PYTHON" tests/bench/two_sample.py "$RUNS/matched_$name.h5" normal
    done
}

# Two levels of latent variables compared with one, with the same number of parameters.
levels() {
    learn levels_one configs/mnist_vae.ini --data.binarize=dynamic --model.latent=32 --model.warmup_steps=4680 \
        --network.hidden=400,200 --network.activation=leaky_relu --train.epochs=50
    learn levels_two configs/mnist_hierarchical_vae.ini
    SAMPLES=100 figures levels_one loss nll kl
    SAMPLES=100 figures levels_two loss nll kl
    made levels_two sample levels_0.png --vary=0 --n=32
    made levels_two sample levels_1.png --vary=1 --n=32
}

text() {
    [ -f datasets/wordnet_examples.h5 ] || datasets/get.sh wordnet_examples
    learn wordnet configs/wordnet_sequence_vae.ini --train.steps=5000
    figures wordnet loss reconstruction kl tokens
    made wordnet interpolate wordnet.txt --n=3 --steps=6
    cat "$RUNS/wordnet.txt"
}

music() {
    [ -f datasets/bach_chorales.h5 ] || datasets/get.sh bach_chorales
    learn chorales configs/bach_chorales_vrnn.ini
    SAMPLES=20 figures chorales loss nll kl
}

# One digit moving in 32×32 pixels: learned in minutes on two cores, where two digits in 64×64 take hours.
video() {
    [ -f "$RUNS/moving_digit.h5" ] || "$ELBO" convert moving_digits datasets/mnist.h5 --n=4000 --n_test=500 --size=32 --frames=12 \
        --digits=1 --out="$RUNS/moving_digit.h5"
    learn digits configs/moving_digits_sequence_vae.ini --data.path="$RUNS/moving_digit.h5" --network.channels=16,32 \
        --train.steps=1500 --model.warmup_steps=0 --train.microbatch=16
    figures digits loss reconstruction kl psnr
    made digits predict predicted.png --from=6 --n=3
    [ -f datasets/clips.h5 ] || datasets/get.sh clips
    learn clips datasets/clips.h5 --model.name=sequence_vae --train.steps=100
    figures clips loss reconstruction kl psnr
    made clips predict predicted_clip.png --from=8 --n=2
}

shares() {
    [ -f datasets/sp500.h5 ] || datasets/get.sh sp500
    local name
    for name in vrnn sequence_vae; do
        learn "shares_$name" datasets/sp500.h5 --model.name=$name --train.epochs=30
        figures "shares_$name" loss reconstruction kl
    done
}

speech() {
    [ -f datasets/speech_allison.h5 ] || datasets/get.sh speech_allison
    local name
    for name in vrnn sequence_vae; do
        learn "speech_$name" datasets/speech_allison.h5 --model.name=$name --train.epochs=10
        figures "speech_$name" loss reconstruction kl mse
    done
}

# Letters and digits of 740 typefaces, none of whose families is in both splits.
typefaces() {
    [ -f datasets/glyphs.h5 ] || datasets/get.sh glyphs
    learn glyphs datasets/glyphs.h5 --model.name=cvae --train.epochs=3
    figures glyphs loss reconstruction kl psnr
    made glyphs sample glyphs.png --n=32 --label=0
    made glyphs reconstruct glyphs_again.png --n=16
}

molecules() {
    [ -f datasets/moses.h5 ] || datasets/get.sh moses
    learn moses datasets/moses.h5 --model.name=sequence_vae --train.steps=1000 --model.word_dropout=0.25 --model.warmup_steps=1500
    figures moses loss reconstruction kl tokens
    made moses sample molecules.txt --n=1000
    head -3 "$RUNS/molecules.txt"
    "$PYTHON" tests/bench/valid_smiles.py "$RUNS/molecules.txt"
}

sections="overview autoencoder_and_vae gan_and_vae factors prior_matched levels text music video shares speech typefaces molecules"
[ $# -gt 0 ] || { echo "usage: variants.sh SECTION…, of: $sections, all" >&2; exit 2; }
[ "$1" != all ] || eval set -- "$sections"
for section; do
    case " $sections " in
        *" $section "*) echo "== $section"; "$section" ;;
        *) echo "variants.sh: $section is none of: $sections, all" >&2; exit 2 ;;
    esac
done
