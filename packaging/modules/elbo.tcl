#%Module
# The module file of an installed elbo for Environment Modules: `module use PREFIX/share/elbo/modulefiles`. It is
# PREFIX/share/elbo/modulefiles/elbo/VERSION and finds PREFIX by its own path. If MPI and HDF5 are modules, add those that
# elbo was built with: prereq openmpi/4.1.6.
proc ModulesHelp {} {
    puts stderr "elbo trains variational autoencoders, on one core or on many machines. `elbo --help` lists its commands;
configurations and documents are in \$ELBO_ROOT/share/elbo."
}
module-whatis "distributed training of variational autoencoders"
conflict elbo

set prefix [file dirname [file dirname [file dirname [file dirname [file dirname $ModulesCurrentModulefile]]]]]
setenv ELBO_ROOT $prefix
prepend-path PATH $prefix/bin
prepend-path CMAKE_PREFIX_PATH $prefix
