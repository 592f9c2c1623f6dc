"""Arrays that h5py writes: types, layouts, filters, names."""
from field_file import field_file


def rows(features=6):
    import numpy
    return numpy.random.default_rng(8).normal(size=(60, features)).astype("f4")


def classes():
    import numpy
    return numpy.arange(60) % 3


def images(*shape, kind="u1", high=256):
    import numpy
    return numpy.random.default_rng(9).integers(0, high, (40, *shape)).astype(kind)


def save(path, options=None, **arrays):
    """Slashes in a name are written __."""
    import h5py
    with h5py.File(path, "w", **(options or {})) as file:
        for name, value in arrays.items():
            file[name.replace("__", "/")] = value


def stored(path, values, libver=None, **options):
    import h5py
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("spectra", data=values, **options)


# ---- names ----

@field_file("`x_train`, `y_train`, `x_test`, `y_test`", "h5py", "keras.h5")
def keras(path):
    save(path, x_train=rows(), y_train=classes(), x_test=rows()[:9], y_test=classes()[:9])
    return rows(), classes()


@field_file("`train_set_x`, `train_set_y`, …", "h5py", "catvnoncat.h5")
def course(path):
    save(path, train_set_x=images(16, 16, 3), train_set_y=classes()[:40], test_set_x=images(16, 16, 3)[:9],
         test_set_y=classes()[:9], list_classes=[b"a", b"b", b"c"])
    return images(16, 16, 3).transpose(0, 3, 1, 2) / 255, classes()[:40]


@field_file("`train/data`, `train/targets`, `val/…`", "h5py", "torch.h5")
def torch_like(path):
    save(path, train__data=rows(), train__targets=classes(), val__data=rows()[:9], val__targets=classes()[:9])
    return rows(), classes()


@field_file("`images`, `labels` (floats), as 3dshapes", "h5py", "shapes.h5")
def shapes(path):
    save(path, images=images(16, 16, 3), labels=rows()[:40])
    return images(16, 16, 3).transpose(0, 3, 1, 2) / 255, rows()[:40]


@field_file("`x` alone (N, H, W, 3), as PCam", "h5py", "camelyon_x.h5")
def pcam(path):
    save(path, x=images(16, 16, 3))
    return images(16, 16, 3).transpose(0, 3, 1, 2) / 255


@field_file("NeXus, `entry/data/data` of uint32", "h5py", "scan.nxs")
def nexus(path):
    save(path, entry__data__data=images(16, 18, kind="u4", high=5000), entry__instrument__detector__distance=0.2,
         entry__title="a scan")
    return images(16, 18, kind="u4", high=5000)


@field_file("NWB, a time series by name", "h5py", "session.nwb", "--data.x=/acquisition/lfp/data")
def nwb(path):
    save(path, acquisition__lfp__data=rows(), acquisition__lfp__timestamps=classes() / 10, units__spikes=rows()[:30, :4])
    return rows()


# ---- labels ----

@field_file("labels as texts", "h5py", "texts.h5")
def text_labels(path):
    import numpy
    save(path, x=rows(), label=numpy.array([b"cat", b"ant", b"bee"])[classes()])
    return rows(), numpy.array([2, 0, 1])[classes()]


@field_file("labels as Unicode texts", "h5py", "texts.h5")
def unicode_labels(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        file["x"] = rows()
        file.create_dataset("y", data=[("cat", "été", "bee")[i] for i in classes()], dtype=h5py.string_dtype())
    return rows(), numpy.array([1, 2, 0])[classes()]


@field_file("labels as an enumeration", "h5py", "enum.h5")
def enum_labels(path):
    import h5py
    with h5py.File(path, "w") as file:
        file["x"] = rows()
        file.create_dataset("label", data=classes(), dtype=h5py.enum_dtype({"ANT": 0, "BEE": 1, "CAT": 2}, basetype="i1"))
    return rows(), classes()


@field_file("labels as booleans", "h5py", "bool.h5")
def bool_labels(path):
    save(path, x=rows(), label=classes() == 0)
    return rows(), (classes() == 0).astype("i8")


@field_file("labels one-hot", "h5py", "one_hot.h5")
def one_hot_labels(path):
    import numpy
    save(path, x=rows(), labels=numpy.eye(3, dtype="f4")[classes()])
    return rows(), classes()


# ---- types ----

@field_file("booleans", "h5py", "bool.h5")
def booleans(path):
    save(path, x=rows(12) > 0)
    return rows(12) > 0


@field_file("an enumeration", "h5py", "enum.h5")
def enumeration(path):
    import h5py
    with h5py.File(path, "w") as file:
        file.create_dataset("genotypes", data=images(30, high=3), dtype=h5py.enum_dtype({"AA": 0, "AB": 1, "BB": 2}, basetype="u1"))
    return images(30, high=3)


@field_file("bytes 0, 1, 2 (genotypes)", "h5py", "genotypes.h5")
def genotypes(path):
    save(path, genotypes=images(30, high=3))
    return images(30, high=3)


for kind, title in {"f2": "float16", ">f4": "float32, big-endian", "f8": "float64", "g": "long double", "i1": "int8",
                    ">i2": "int16, big-endian", "u8": "uint64"}.items():
    @field_file(title, "h5py", "typed.h5", tolerance=1e-3 if kind == "f2" else 1e-5)
    def typed(path, kind=kind):
        values = rows() if kind[-1] in "f248g" and "f" in kind or kind == "g" else images(30, high=100)
        stored(path, values.astype(kind))
        return values


@field_file("bfloat16", "h5py 3.16", "brain.h5", tolerance=1e-2, new=True)
def brain_float(path):
    import h5py
    import numpy
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((60, 6))
        h5py.h5d.create(file.id, b"x", kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, numpy.ascontiguousarray(rows()))
    return rows()


@field_file("complex numbers", "h5py", "complex.h5", refused="holds complex numbers", remedy="Python")
def complex_numbers(path):
    import numpy
    stored(path, rows() - 2j * rows())
    return numpy.stack([rows(), -2 * rows()], 1)


@field_file("complex numbers of HDF5 2.0", "h5py 3.16", "complex.h5", new=True, refused="was written by a newer HDF5")
def complex_new(path):
    import h5py
    import numpy
    with h5py.File(path, "w", libver="latest") as file:
        kind = h5py.h5t.COMPLEX_IEEE_F32LE
        space = h5py.h5s.create_simple((60, 6))
        h5py.h5d.create(file.id, b"x", kind, space)


@field_file("a table of a compound type", "h5py", "table.h5")
def compound(path):
    import numpy
    table = numpy.zeros(60, [("a", "f4"), ("name", "S3"), ("b", ">i2"), ("c", "f8", (2,)), ("flag", "?")])
    table["a"], table["b"], table["c"], table["flag"] = rows()[:, 0], classes(), rows()[:, 1:3], classes() == 1
    stored(path, table, chunks=(16,), compression="gzip")
    return numpy.c_[rows()[:, 0], classes(), rows()[:, 1:3], classes() == 1]


@field_file("a table with a table in each row (jets and tracks)", "h5py", "jets.h5", "--data.x=/jets")
def jets(path):
    import numpy
    jets, tracks = numpy.zeros(60, [("pt", "f4"), ("eta", "f4")]), numpy.zeros((60, 5), [("d0", "f4"), ("valid", "?")])
    jets["pt"], jets["eta"] = rows()[:, 0], rows()[:, 1]
    save(path, jets=jets, tracks=tracks)
    return rows()[:, :2]


@field_file("tables in two dimensions", "h5py", "tracks.h5", refused="is a table in 2 dimensions", remedy="Python")
def tracks(path):
    import numpy
    table = numpy.zeros((60, 5), [("d0", "f4"), ("valid", "?")])
    table["d0"], table["valid"] = rows(5), rows(5) > 0
    save(path, tracks=table)
    return numpy.stack([rows(5), rows(5) > 0], 2)


@field_file("references", "h5py", "references.h5", "--data.x=/x", refused="holds references to other datasets", remedy="Python")
def references(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        file["a"] = rows()
        file.create_dataset("x", (20,), h5py.ref_dtype)[:] = file["a"].ref
    return numpy.stack([rows()] * 20)


@field_file("lists of different lengths", "h5py", "ragged.h5", refused="holds lists of different lengths", remedy="Python")
def ragged(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        lists = file.create_dataset("events", (60,), h5py.vlen_dtype("f4"))
        for i in range(60):
            lists[i] = rows()[i, :1 + i % 6]
    return numpy.where(numpy.arange(6) <= numpy.arange(60)[:, None] % 6, rows(), 0)[:, :, None]


@field_file("compressed images in lists", "h5py, PIL", "jpegs.h5", refused="holds lists of bytes",
            remedy="Python, elbo convert images")
def encoded_images(path):
    import io

    import h5py
    import numpy
    import PIL.Image
    with h5py.File(path, "w") as file:
        lists = file.create_dataset("photos", (20,), h5py.vlen_dtype("u1"))
        for i in range(20):
            encoded = io.BytesIO()
            PIL.Image.fromarray(images(16, 18, 3)[i]).save(encoded, "PNG")
            lists[i] = numpy.frombuffer(encoded.getvalue(), "u1")
    return images(16, 18, 3)[:20].transpose(0, 3, 1, 2) / 255


@field_file("texts", "h5py", "texts.h5", refused="holds texts (string)", remedy="Python, elbo convert text")
def texts(path):
    save(path, sentences=[f"sentence {i}".encode() for i in range(60)])


# ---- files without one dataset of rows ----

@field_file("one dataset a sample", "h5py", "samples.h5", refused="has a dataset for each sample", remedy="Python")
def dataset_a_sample(path):
    import numpy
    save(path, **{f"data__trace_{i:02}": rows()[i:i + 12] for i in range(30)})
    return numpy.stack([rows()[i:i + 12] for i in range(30)])


@field_file("one group a sample", "h5py", "groups.h5", refused="has a group for each sample", remedy="Python")
def group_a_sample(path):
    save(path, **{f"read_{i:03}__{name}": value for i in range(30) for name, value in (("signal", rows()[i]), ("label", i % 3))})
    return rows()[:30], classes()[:30]


@field_file("one dataset a column", "h5py", "columns.h5", refused="has a dataset for each column", remedy="Python")
def dataset_a_column(path):
    save(path, **{f"feature{i}": rows()[:, i] for i in range(6)})
    return rows()


@field_file("demonstrations of different lengths", "h5py", "demo.hdf5", refused="of different lengths", remedy="Python")
def demonstrations(path):
    import numpy
    save(path, **{f"data__demo_{i:02}__{name}": rows()[:20 + i] for i in range(12) for name in ("actions", "states")})
    return numpy.stack([numpy.pad(rows()[:20 + i], [(0, 11 - i), (0, 0)]) for i in range(12)])


@field_file("a recording in one dimension", "h5py", "strain.hdf5", refused="to cut a recording into windows", remedy="Python")
def recording(path):
    import numpy
    signal = numpy.random.default_rng(13).normal(size=10_000)
    save(path, strain__Strain=signal, meta__GPSstart=1126259447)
    return signal[:9984].reshape(-1, 256)


@field_file("no rows yet", "h5py", "empty.h5", refused="is empty: its shape is (0, 6)")
def no_rows(path):
    save(path, train__x=rows()[:0])


@field_file("an empty dataspace", "h5py", "null.h5", refused="has the shape ()")
def null(path):
    import h5py
    save(path, train__x=h5py.Empty("f4"))


@field_file("a single number", "h5py", "scalar.h5", refused="has the shape ()")
def scalar(path):
    save(path, train__x=3.0)


@field_file("a file without a dataset", "h5py", "nothing.h5", refused="the file has nothing")
def nothing(path):
    save(path)


# ---- images and volumes ----

@field_file("images (N, H, W) of bytes", "h5py", "digits.h5")
def grey(path):
    save(path, images=images(16, 18))
    return images(16, 18)[:, None] / 255


@field_file("images (N, H, W, 3)", "h5py", "colour.h5")
def channels_last(path):
    save(path, images=images(16, 18, 3))
    return images(16, 18, 3).transpose(0, 3, 1, 2) / 255


@field_file("images (N, 3, H, W), uint16", "h5py", "camera.h5")
def camera(path):
    save(path, images=images(3, 16, 18, kind="u2", high=4000))
    return images(3, 16, 18, kind="u2", high=4000)


@field_file("images (N, H, W), floats", "h5py", "radar.h5", "--data.axes=NHW")
def float_images(path):
    save(path, radar=images(16, 18) / 16)
    return images(16, 18)[:, None] / 16


@field_file("masks of 0 and 255", "h5py", "masks.h5")
def masks(path):
    save(path, images=255 * images(16, 18, high=2))
    return images(16, 18, high=2)[:, None]


# ---- where the bytes are ----

@field_file("an external link", "h5py", "linked.h5")
def external_link(path):
    import h5py
    save(path.with_name("source.h5"), deep__spectra=rows())
    with h5py.File(path, "w") as file:
        file["train/x"] = h5py.ExternalLink("source.h5", "/deep/spectra")
    return rows()


@field_file("a virtual dataset of two files", "h5py", "virtual.h5")
def virtual(path):
    import h5py
    layout = h5py.VirtualLayout((60, 6), "f4")
    for number, part in enumerate((slice(0, 25), slice(25, 60))):
        name = f"part{number}.h5"
        save(path.with_name(name), x=rows()[part])
        layout[part] = h5py.VirtualSource(name, "x", rows()[part].shape)
    with h5py.File(path, "w", libver="latest") as file:
        file.create_virtual_dataset("spectra", layout)
    return rows()


@field_file("an external file of raw numbers", "h5py", "raw.h5")
def external_file(path):
    import h5py
    raw = path.with_name("raw.bin")
    raw.write_bytes(rows().tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("spectra", (60, 6), "f4", external=[(str(raw), 0, rows().nbytes)])
    return rows()


@field_file("a user block", "h5py", "block.h5")
def user_block(path):
    save(path, {"userblock_size": 4096}, x=rows())
    path.open("r+b").write(b"#!/bin/sh")
    return rows()


@field_file("libver `latest`", "h5py", "latest.h5")
def latest(path):
    stored(path, rows(), "latest", chunks=(7, 4), maxshape=(None, None), compression="gzip")
    return rows()


@field_file("usual options", "h5py 3.16", "new.h5", new=True)
def new_usual(path):
    stored(path, rows(), chunks=(7, 4), maxshape=(None, None), compression="gzip")
    return rows()


@field_file("libver `v110`", "h5py 3.16", "new.h5", new=True)
def new_v110(path):
    stored(path, rows(), ("earliest", "v110"), chunks=(7, 4), maxshape=(None, None), compression="gzip")
    return rows()


@field_file("libver `latest`", "h5py 3.16", "new.h5", new=True, refused="was written by a newer HDF5")
def new_latest(path):
    stored(path, rows(), "latest", chunks=(7, 4), maxshape=(None, None), compression="gzip")


# ---- filters ----

for title, options in {"deflate, shuffle, Fletcher-32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
                       "LZF": {"compression": "lzf"}, "szip": {"compression": "szip"}}.items():
    @field_file(title, "h5py", "filtered.h5")
    def filtered(path, options=options):
        stored(path, rows(), chunks=(16, 6), **options)
        return rows()


@field_file("scale-offset", "h5py", "filtered.h5")
def scale_offset(path):
    stored(path, images(30, kind="i4"), chunks=(16, 30), scaleoffset=8)
    return images(30, kind="i4")


@field_file("N-bit", "h5py", "filtered.h5")
def n_bit(path):
    import h5py
    import numpy
    kind = h5py.h5t.NATIVE_UINT16.copy()
    kind.set_precision(12)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((16, 30))
    properties.set_filter(h5py.h5z.FILTER_NBIT)
    with h5py.File(path, "w") as file:
        x = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((40, 30)), properties)
        x.write(h5py.h5s.ALL, h5py.h5s.ALL, images(30, kind="u2", high=4096))
    return images(30, kind="u2", high=4096)


for title, codec, options in (("zstd", "Zstd", {}), ("LZ4", "LZ4", {}), ("bitshuffle, LZ4", "Bitshuffle", {"cname": "lz4"}),
                              ("bitshuffle, zstd", "Bitshuffle", {"cname": "zstd"}), ("Blosc, zstd", "Blosc", {"cname": "zstd"})):
    @field_file(title, "hdf5plugin", "filtered.h5", new=True)
    def plugin(path, codec=codec, options=options):
        import hdf5plugin
        stored(path, rows(), chunks=(16, 6), **getattr(hdf5plugin, codec)(**options))
        return rows()


for title, codec in (("Blosc2", "Blosc2"), ("ZFP", "Zfp")):
    @field_file(title, "hdf5plugin", "filtered.h5", new=True, refused="is not installed; set HDF5_PLUGIN_PATH")
    def absent(path, codec=codec):
        import hdf5plugin
        stored(path, rows(), chunks=(16, 6), **getattr(hdf5plugin, codec)())
