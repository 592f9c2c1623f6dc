"""Data that are not HDF5: what they are, and the line that converts them."""
from field_file import field_file


def rows():
    import numpy
    return numpy.random.default_rng(10).normal(size=(60, 4)).astype("f4")


@field_file("CSV", "csv", "table.csv", refused="is a table of comma-separated values", remedy="elbo convert csv")
def csv_table(path):
    import csv
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list("abcd"), *rows().tolist()])
    return rows()


@field_file("TSV", "csv", "table.tsv", refused="is a table of tab-separated values", remedy="elbo convert tsv")
def tsv_table(path):
    import csv
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([list("abcd"), *rows().tolist()])
    return rows()


@field_file("NumPy `.npy`", "numpy", "rows.npy", refused="is an array of NumPy", remedy="elbo convert npy")
def npy(path):
    import numpy
    numpy.save(path, rows())
    return rows()


@field_file("NumPy `.npz`", "numpy", "rows.npz", refused="is an archive of NumPy", remedy="elbo convert npz")
def npz(path):
    import numpy
    numpy.savez(path, x_train=rows(), x_test=rows()[:9])
    return rows()


@field_file("Parquet", "pyarrow", "table.parquet", refused="is a Parquet table", remedy="elbo convert csv", new=True)
def parquet(path):
    import pyarrow.parquet
    pyarrow.parquet.write_table(pyarrow.table(dict(zip("abcd", rows().T))), path)
    return rows()


@field_file("Feather", "pyarrow", "table.feather", refused="is a Feather table", remedy="elbo convert csv", new=True)
def feather(path):
    import pyarrow.feather
    pyarrow.feather.write_feather(pyarrow.table(dict(zip("abcd", rows().T))), path)
    return rows()


@field_file("a folder of images", "PIL", "pictures", refused="is a folder of images", remedy="elbo convert images")
def pictures(path):
    import numpy
    import PIL.Image
    images = numpy.random.default_rng(11).integers(0, 256, (20, 16, 18, 3)).astype("u1")
    path.mkdir()
    for number, image in enumerate(images):
        PIL.Image.fromarray(image).save(path / f"{number:03d}.png")
    return images.transpose(0, 3, 1, 2) / 255


@field_file("a pickle", "pickle", "rows.pkl", refused="is a pickle of Python", remedy="Python, elbo convert npy")
def pickled(path):
    import pickle
    path.write_bytes(pickle.dumps(rows()))
    return rows()


@field_file("a sparse matrix in Matrix Market form", "scipy", "cells.mtx", refused="is a sparse matrix",
            remedy="Python, elbo convert npy")
def matrix_market(path):
    import numpy
    import scipy.io
    import scipy.sparse
    counts = numpy.random.default_rng(14).poisson(0.5, (60, 8))
    scipy.io.mmwrite(str(path), scipy.sparse.coo_matrix(counts))
    return counts


@field_file("lines of JSON", "pandas", "rows.jsonl", refused="is a table in lines of JSON", remedy="Python, elbo convert csv")
def json_lines(path):
    import pandas
    pandas.DataFrame(rows(), columns=list("abcd")).to_json(path, orient="records", lines=True)
    return rows()


@field_file("Stata", "pandas", "survey.dta", refused="is a table of Stata", remedy="Python, elbo convert csv")
def stata(path):
    import pandas
    pandas.DataFrame(rows(), columns=list("abcd")).to_stata(path, write_index=False)
    return rows()


@field_file("an HDF5 file that gzip compressed", "h5py, gzip", "rows.h5.gz", refused="is compressed by gzip")
def zipped(path):
    import gzip

    import h5py
    with h5py.File(path.with_name("rows.h5"), "w") as file:
        file["x"] = rows()
    path.write_bytes(gzip.compress(path.with_name("rows.h5").read_bytes()))


# ---- by their names or first bytes; the remedies need libraries that the tests do without ----

for title, name, content, what, remedy in (
        ("a spreadsheet", "table.xlsx", b"PK\3\4", "is a spreadsheet", "Python, elbo convert csv"),
        ("TIFF", "stack.tif", b"II*\0", "is a TIFF image", "Python, elbo convert npy"),
        ("FITS", "image.fits", b"SIMPLE  =", "is a FITS file", "Python, elbo convert npy"),
        ("NIfTI", "brain.nii.gz", b"\x1f\x8b", "is a NIfTI volume", "Python, elbo convert npy"),
        ("DICOM", "scan.dcm", bytes(128) + b"DICM", "is a DICOM image", "Python, elbo convert npy"),
        ("LAS", "points.las", b"LASF", "is a cloud of points", "Python, elbo convert npy"),
        ("EDF", "sleep.edf", b"0       ", "is an EDF recording", "Python, elbo convert npy"),
        ("a tensor of PyTorch", "rows.pt", b"PK\3\4", "is a file of PyTorch", "Python, elbo convert npy"),
        ("HDF4", "MOD04.hdf", b"\x0e\x03\x13\x01", "is an HDF4 file; h4toh5", "")):
    @field_file(title, "its first bytes", name, refused=what, remedy=remedy)
    def other(path, content=content):
        path.write_bytes(content + bytes(200))


@field_file("a Zarr store", "its metadata", "rows.zarr", refused="is a Zarr store", remedy="Python, elbo convert npy")
def zarr(path):
    path.mkdir()
    (path / ".zarray").write_text("{}")
