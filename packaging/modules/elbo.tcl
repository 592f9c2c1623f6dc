#%Module
# The module file of an installed elbo for Environment Modules. It lies in PREFIX/share/elbo/modulefiles/elbo/VERSION and
# finds PREFIX from there: `module use PREFIX/share/elbo/modulefiles`. Where MPI and HDF5 are modules, name those that elbo
# was built with: prereq openmpi/4.1.6.
proc ModulesHelp {} {
    puts stderr "elbo trains variational autoencoders, on one core or on many machines. `elbo --help` lists its commands;
configurations and documents lie in \$ELBO_ROOT/share/elbo."
}
module-whatis "distributed training of variational autoencoders"
conflict elbo

set prefix [file dirname [file dirname [file dirname [file dirname [file dirname $ModulesCurrentModulefile]]]]]
setenv ELBO_ROOT $prefix
prepend-path PATH $prefix/bin
prepend-path CMAKE_PREFIX_PATH $prefix
