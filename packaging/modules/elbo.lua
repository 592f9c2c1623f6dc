-- The module file of an installed elbo for Lmod: `module use PREFIX/share/elbo/modulefiles`. It is
-- PREFIX/share/elbo/modulefiles/elbo/VERSION.lua and finds PREFIX by its own path. If MPI and HDF5 are modules, add those
-- that elbo was built with: depends_on("openmpi/4.1.6", "hdf5/1.14.3").
help([[elbo trains variational autoencoders, on one core or on many machines. `elbo --help` lists its commands;
configurations and documents are in $ELBO_ROOT/share/elbo.]])
whatis("Name: elbo")
whatis("Version: " .. myModuleVersion())
whatis("Description: distributed training of variational autoencoders")

local prefix = myFileName():match("^(.*)/share/elbo/modulefiles/")
setenv("ELBO_ROOT", prefix)
prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("CMAKE_PREFIX_PATH", prefix)
