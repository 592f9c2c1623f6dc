"""Single-cell biology: AnnData, 10x Genomics, Loom."""
import warnings

from field_file import field_file

CELLS, GENES = 60, 20


def counts():
    import numpy
    return numpy.random.default_rng(1).poisson(1.0, (CELLS, GENES)).astype("f4")


def annotated(x, **more):
    """Cells with types, batches and a reduced form."""
    import anndata
    import numpy
    import pandas
    warnings.simplefilter("ignore")
    types = pandas.Categorical(numpy.array(["T", "B", "NK"])[numpy.arange(CELLS) % 3])
    obs = pandas.DataFrame({"cell_type": types, "n_genes": numpy.arange(CELLS)}, index=[f"CELL{i}" for i in range(CELLS)])
    var = pandas.DataFrame({"symbol": [f"G{i}" for i in range(GENES)]}, index=[f"ENSG{i}" for i in range(GENES)])
    return anndata.AnnData(x, obs=obs, var=var, dtype="float32", **more)


def types():
    import numpy
    return numpy.array([2, 0, 1])[numpy.arange(CELLS) % 3]  # in sorted order: B, NK, T


@field_file("AnnData, `X` dense, categories as labels", "anndata", "cells.h5ad", "--data.label=cell_type")
def anndata_dense(path):
    annotated(counts()).write_h5ad(path)
    return counts(), types()


@field_file("AnnData, `X` in CSR form, compressed", "anndata", "cells.h5ad", "--data.label=cell_type")
def anndata_csr(path):
    import scipy.sparse
    annotated(scipy.sparse.csr_matrix(counts())).write_h5ad(path, compression="gzip")
    return counts(), types()


@field_file("AnnData, `X` in CSC form", "anndata", "cells.h5ad", refused="is stored by columns (CSC)", remedy="Python")
def anndata_csc(path):
    import scipy.sparse
    annotated(scipy.sparse.csc_matrix(counts())).write_h5ad(path)
    return counts()


@field_file("AnnData, a layer", "anndata", "cells.h5ad", "--data.x=/layers/doubled")
def anndata_layer(path):
    annotated(counts(), layers={"doubled": 2 * counts()}).write_h5ad(path)
    return 2 * counts()


@field_file("AnnData, `raw`", "anndata", "cells.h5ad", "--data.x=/raw/X")
def anndata_raw(path):
    import scipy.sparse
    cells = annotated(scipy.sparse.csr_matrix(counts()))
    cells.raw = cells
    cells.X = cells.X * 0.5
    cells.write_h5ad(path)
    return counts()


@field_file("AnnData, an embedding in `obsm`", "anndata", "cells.h5ad", "--data.x=/obsm/X_pca")
def anndata_obsm(path):
    embedding = counts()[:, :5] * 0.25
    annotated(counts(), obsm={"X_pca": embedding}).write_h5ad(path)
    return embedding


def write_10x(file, group, x):
    """Cell Ranger's matrix: genes × cells, by columns."""
    import numpy
    cell, gene = numpy.nonzero(x)
    matrix = file.create_group(group)
    matrix["data"], matrix["indices"] = x[cell, gene].astype("i4"), gene.astype("i8")
    matrix["indptr"] = numpy.r_[0, numpy.cumsum((x > 0).sum(1))].astype("i8")
    matrix["shape"] = numpy.array([GENES, CELLS], "i4")
    matrix["barcodes"] = numpy.array([f"AAAC{i}-1" for i in range(CELLS)], "S")
    return matrix


@field_file("10x Genomics `.h5`, version 3", "h5py", "filtered_feature_bc_matrix.h5")
def tenx_3(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        features = write_10x(file, "matrix", counts()).create_group("features")
        for name in ("id", "name", "feature_type", "genome"):
            features[name] = numpy.array([f"{name}{i}" for i in range(GENES)], "S")
        features["_all_tag_keys"] = numpy.array(["genome"], "S")
    return counts()


@field_file("10x Genomics `.h5`, version 2", "h5py", "filtered_gene_bc_matrices.h5")
def tenx_2(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        matrix = write_10x(file, "GRCh38", counts())
        matrix["genes"] = matrix["gene_names"] = numpy.array([f"ENSG{i}" for i in range(GENES)], "S")
    return counts()


@field_file("Loom: genes × cells, attributes of both", "h5py", "cells.loom")
def loom(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=counts().T, chunks=(8, 16), compression="gzip")
        file["row_attrs/Gene"] = numpy.array([f"G{i}" for i in range(GENES)], "S")
        file["col_attrs/CellID"] = numpy.array([f"C{i}" for i in range(CELLS)], "S")
        for group in ("layers", "row_graphs", "col_graphs"):
            file.create_group(group)
        file.attrs["LOOM_SPEC_VERSION"] = "3.0.0"
    return counts()
