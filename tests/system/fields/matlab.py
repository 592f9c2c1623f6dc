"""MATLAB: version 7.3 is HDF5 with a user block, dimensions in reverse and the class as an attribute. Version 5 is not."""
from field_file import field_file


def save(path, **arrays):
    """As `save -v7.3` does: slashes in a name, written __, are fields of a struct."""
    import h5py
    import numpy
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, (value, kind) in arrays.items():
            *structs, _ = key.split("__")
            stored = file.create_dataset(key.replace("__", "/"), data=numpy.ascontiguousarray(value.T), chunks=True, compression="gzip")
            stored.attrs["MATLAB_class"] = numpy.bytes_(kind)
            if kind == "logical":
                stored.attrs["MATLAB_int_decode"] = numpy.int32(1)
            for struct in structs:
                file[struct].attrs["MATLAB_class"] = numpy.bytes_("struct")
    mark(path)


def mark(path):
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\0\2IM")


def table():
    import numpy
    return numpy.random.default_rng(2).normal(size=(60, 6)), numpy.arange(60) % 3


@field_file("MATLAB 7.3, a matrix and a column of classes", "h5py", "data.mat")
def matrix(path):
    x, label = table()
    save(path, X=(x, "double"), y=(label[:, None].astype("f8"), "double"))
    return x, label


@field_file("MATLAB 7.3, in a struct", "h5py", "data.mat")
def struct(path):
    x, label = table()
    save(path, set__X=(x, "double"), set__y=(label[:, None].astype("f8"), "double"))
    return x, label


@field_file("MATLAB 7.3, grey images (height, width, N)", "h5py", "grey.mat")
def grey_images(path):
    import numpy
    images = numpy.random.default_rng(3).integers(0, 256, (18, 16, 40)).astype("u1")
    save(path, images=(images, "uint8"))
    return images.transpose(2, 0, 1)[:, None] / 255


@field_file("MATLAB 7.3, color images (height, width, 3, N)", "h5py", "color.mat")
def color_images(path):
    import numpy
    images = numpy.random.default_rng(3).integers(0, 256, (18, 16, 3, 40)).astype("u1")
    save(path, images=(images, "uint8"))
    return images.transpose(3, 2, 0, 1) / 255


@field_file("MATLAB 7.3, a logical matrix", "h5py", "data.mat")
def logical(path):
    import numpy
    x = numpy.random.default_rng(4).random((60, 12)) < 0.4
    save(path, mask=(x.astype("u1"), "logical"))
    return x.astype("f4")


@field_file("MATLAB 7.3, a sparse matrix", "h5py", "sparse.mat", refused="is a sparse matrix of MATLAB")
def sparse(path):
    import h5py
    import numpy
    import scipy.sparse
    x = scipy.sparse.csc_matrix(numpy.random.default_rng(5).poisson(0.3, (60, 8)).astype("f8"))
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("X")
        group["data"], group["ir"], group["jc"] = x.data, x.indices.astype("u8"), x.indptr.astype("u8")
        group.attrs["MATLAB_class"], group.attrs["MATLAB_sparse"] = numpy.bytes_("double"), numpy.uint64(60)
    mark(path)


@field_file("MATLAB 7.3, a cell array", "h5py", "cells.mat", refused="holds references to other datasets", remedy="Python")
def cells(path):
    import h5py
    import numpy
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_dataset("samples", (1, 30), h5py.ref_dtype)
        references.attrs["MATLAB_class"] = numpy.bytes_("cell")
        for i in range(30):
            stored = file.create_dataset(f"#refs#/{i}", data=numpy.random.default_rng(i).normal(size=(5, 4)))
            stored.attrs["MATLAB_class"] = numpy.bytes_("double")
            references[0, i] = stored.ref
    mark(path)
    return numpy.stack([numpy.random.default_rng(i).normal(size=(5, 4)) for i in range(30)])


@field_file("MATLAB before 7.3", "scipy", "data.mat", refused="is a MATLAB file before version 7.3", remedy="Python, elbo convert npy")
def version_5(path):
    import scipy.io
    x, _ = table()
    scipy.io.savemat(path, {"X": x})
    return x
