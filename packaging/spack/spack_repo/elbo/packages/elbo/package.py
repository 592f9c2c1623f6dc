# SPDX-License-Identifier: Apache-2.0

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Elbo(CMakePackage, CudaPackage):
    """Distributed training of variational autoencoders: data-parallel over MPI ranks and GPUs, with the same bits for
    every number of ranks, threads and interruptions."""

    # No homepage, url or git: Spack builds from a checkout (spack develop).

    license("Apache-2.0")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.24:", type="build")
    depends_on("ninja", type="build")

    depends_on("mpi")
    depends_on("hdf5@1.10:")
    depends_on("boost@1.71:+program_options")
    depends_on("fmt")
    depends_on("nlohmann-json@3.9:")
    depends_on("openssl")
    depends_on("zlib-api")
    depends_on("libdeflate")
    depends_on("zstd")
    depends_on("lz4")
    depends_on("c-blosc")
    depends_on("libzip")
    depends_on("libpng")
    depends_on("libjpeg-turbo")
    depends_on("libsndfile")
    depends_on("jemalloc")  # training is up to a tenth faster

    # Only its C++ libraries are used.
    depends_on("py-torch@2.11:")
    depends_on("py-torch~cuda", when="~cuda")
    depends_on("py-torch+cuda", when="+cuda")
    depends_on("nccl", when="+cuda")

    conflicts("%gcc@:10", msg="elbo is written in C++20")

    generator("ninja")

    def cmake_args(self):
        torch = self.spec["py-torch"].prefix
        args = [
            self.define("ELBO_TESTS", False),
            self.define_from_variant("ELBO_CUDA", "cuda"),
            # Spack's LibTorch is not installed again.
            self.define("ELBO_BUNDLE_TORCH", False),
            self.define("LibTorch_ROOT", join_path(torch, self.spec["python"].package.platlib)),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("LibTorch_CUDA_INCLUDE_DIR", self.spec["cuda"].prefix.include))
            args.append(self.define("NCCL_ROOT", self.spec["nccl"].prefix))
        return args

    def test_version(self):
        """elbo --version prints its version"""
        elbo = which(self.prefix.bin.elbo)
        assert str(self.version) in elbo("--version", output=str.split, error=str.split)
