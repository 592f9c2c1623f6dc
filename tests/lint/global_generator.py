#!/usr/bin/env python3
"""Finds uses of LibTorch's global generator in src/: all random numbers must come from a RandomGenerator.

    global_generator.py               checks the checkout; exits 1 if the global generator is used outside of base/random.cpp
    global_generator.py --self-test   checks that the check finds what it is for
"""
import pathlib
import re
import sys

# Functions that sample; in-place methods; modules and initialisers that sample in their constructors.
DRAWS = re.compile(r"(?:torch|at)::(?:rand|randn|randint|randperm|bernoulli|multinomial|normal|poisson|rrelu)(?:_like)?\s*\("
                   r"|(?:torch|at|functional)::\w*dropout\w*\s*\("
                   r"|(?:\.|->)(?:normal_|uniform_|bernoulli_|exponential_|random_|geometric_|cauchy_|log_normal_)\s*\("
                   r"|torch::nn::(?:init::|Linear|Conv|GRU|LSTM|RNN|Embedding|Dropout)|manual_seed")
COMMENT = re.compile(r"//.*")


def violations(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        if found := DRAWS.search(COMMENT.sub("", line)):
            yield f"{name}:{number}: {found[0]} draws from the global generator; draw from a RandomGenerator (base/random.h)"


def self_test():
    draws = ["torch::randn({3})", "torch::rand_like(x)", "x.normal_()", "torch::dropout(x, 0.5, true)", "w->uniform_(0, 1)",
             "torch::nn::Linear(3, 4)", "torch::nn::init::xavier_normal_(w)", "torch::bernoulli(p)", "torch::manual_seed(1)"]
    harmless = ["noise.normal({3})", "noise.bernoulli(p)", "// torch::randn({3})", "torch::nn::Module", "random_test()"]
    return ([f"self-test: {line} was not found" for line in draws if not list(violations("", line))] +
            [f"self-test: wrongly found {line}" for line in harmless if list(violations("", line))])


if sys.argv[1:] == ["--self-test"]:
    messages = self_test()
else:
    src = pathlib.Path(__file__).resolve().parents[2] / "src"
    messages = [message for file in sorted(src.rglob("*")) if file.suffix in {".h", ".cpp"}
                and file.relative_to(src).as_posix() != "elbo/base/random.cpp"
                for message in violations(file.relative_to(src).as_posix(), file.read_text(encoding="utf-8"))]
print("\n".join(messages), end="\n" if messages else "")
sys.exit(1 if messages else 0)
