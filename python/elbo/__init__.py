"""Opens what elbo has written: runs, codes and exported weights.

    run = elbo.open_run("runs/mnist_vae")
    run.metrics("test")                            # a pandas.DataFrame, or a list of dicts without pandas
    codes = elbo.read_codes("codes.h5")            # of elbo encode
    networks = run.networks()                      # computed by NumPy
    module = elbo.load_module("vae.safetensors")   # a torch.nn.Module, of elbo export
"""
from .codes import Codes, read_codes
from .networks import Networks, Posterior, load_module, load_networks
from .run import Checkpoint, Run, open_run

__all__ = ["Checkpoint", "Codes", "Networks", "Posterior", "Run", "load_module", "load_networks", "open_run", "read_codes"]
