"""Tables of pandas (HDFStore) and PyTables."""
import warnings

from field_file import field_file


def values():
    import numpy
    return numpy.random.default_rng(7).normal(size=(60, 4))


def store(path, frame, **options):
    warnings.simplefilter("ignore")
    frame.to_hdf(path, "df", mode="w", **options)


def frame(**more):
    import pandas
    return pandas.DataFrame(values(), columns=list("abcd")).assign(**more)


def dates():
    import pandas
    return pandas.date_range("2021-03-01", periods=60, freq="H")


@field_file("HDFStore, fixed", "pandas", "frame.h5")
def fixed(path):
    store(path, frame())
    return values()


@field_file("HDFStore, fixed, an index of dates", "pandas", "frame.h5")
def fixed_dates(path):
    store(path, frame().set_index(dates()))
    return values()


@field_file("HDFStore, fixed, floats and integers", "pandas", "frame.h5", 
            refused="is a frame of pandas whose columns are in", remedy="Python")
def fixed_mixed(path):
    import numpy
    store(path, frame(n=range(60)))
    return numpy.c_[values(), numpy.arange(60)]


@field_file("HDFStore, fixed, floats and texts", "pandas", "frame.h5")
def fixed_texts(path):
    store(path, frame(name=[f"sample {i}" for i in range(60)]))
    return values()


@field_file("HDFStore, table", "pandas", "frame.h5")
def table(path):
    store(path, frame(), format="table")
    return values()


@field_file("HDFStore, table, floats, integers, texts", "pandas", "frame.h5")
def table_mixed(path):
    import numpy
    store(path, frame(n=range(60), name=[f"sample {i}" for i in range(60)]), format="table")
    return numpy.c_[values(), numpy.arange(60)]


@field_file("HDFStore, table, an index of dates", "pandas", "frame.h5")
def table_dates(path):
    store(path, frame().set_index(dates()), format="table")
    return values()


@field_file("HDFStore, table, a column of dates", "pandas", "frame.h5")
def table_date_column(path):
    store(path, frame(when=dates()), format="table")
    return values()


@field_file("HDFStore, table, booleans", "pandas", "frame.h5")
def table_booleans(path):
    import numpy
    flag = numpy.arange(60) % 3 == 0
    store(path, frame(flag=flag), format="table")
    return numpy.c_[values(), flag]


@field_file("HDFStore, table, categories", "pandas", "frame.h5")
def table_categories(path):
    import numpy
    import pandas
    store(path, frame(kind=pandas.Categorical(numpy.array(["x", "y"])[numpy.arange(60) % 2])), format="table")
    return values()


@field_file("HDFStore, table, data_columns", "pandas", "frame.h5")
def table_data_columns(path):
    store(path, frame(), format="table", data_columns=True)
    return values()


@field_file("a Table with nested columns", "PyTables", "events.h5")
def pytables_table(path):
    import numpy
    import tables
    rows = numpy.zeros(60, [("energy", "f8"), ("hits", "u2"), ("position", [("x", "f4"), ("y", "f4")]), ("note", "S4")])
    rows["energy"], rows["hits"] = values()[:, 0], numpy.arange(60)
    rows["position"]["x"], rows["position"]["y"] = values()[:, 1], values()[:, 2]
    with tables.open_file(str(path), "w") as file:
        file.create_table("/run", "events", rows, createparents=True)
    return numpy.c_[values()[:, 0], numpy.arange(60), values()[:, 1:3]]


@field_file("an EArray with blosc", "PyTables", "array.h5")
def pytables_earray(path):
    import tables
    with tables.open_file(str(path), "w", filters=tables.Filters(complevel=5, complib="blosc:lz4")) as file:
        array = file.create_earray("/", "spectra", tables.Float32Atom(), (0, 4))
        array.append(values()[:25])
        array.append(values()[25:])
    return values()


@field_file("a CArray of booleans", "PyTables", "array.h5")
def pytables_booleans(path):
    import tables
    mask = values() > 0
    with tables.open_file(str(path), "w") as file:
        file.create_carray("/", "mask", obj=mask)
    return mask


@field_file("a CArray with LZO", "PyTables", "array.h5", refused="HDF5 filter lzo is not installed")
def pytables_lzo(path):
    import tables
    with tables.open_file(str(path), "w", filters=tables.Filters(complevel=5, complib="lzo")) as file:
        file.create_carray("/", "spectra", obj=values())


@field_file("a CArray of complex numbers", "PyTables", "array.h5", refused="holds complex numbers", remedy="Python")
def pytables_complex(path):
    import numpy
    import tables
    with tables.open_file(str(path), "w") as file:
        file.create_carray("/", "spectra", obj=values() - 2j * values())
    return numpy.stack([values(), -2 * values()], 1)


@field_file("a Table with a column of booleans", "PyTables", "flags.h5")
def pytables_boolean_column(path):
    import numpy
    import tables
    rows = numpy.zeros(60, [("energy", "f8"), ("passed", "?"), ("charge", "i2")])
    rows["energy"], rows["passed"], rows["charge"] = values()[:, 0], values()[:, 1] > 0, numpy.arange(60)
    with tables.open_file(str(path), "w") as file:
        file.create_table("/", "events", rows)
    return numpy.c_[values()[:, 0], values()[:, 1] > 0, numpy.arange(60)]


@field_file("a VLArray", "PyTables", "ragged.h5", refused="holds lists of different lengths", remedy="Python")
def pytables_vlarray(path):
    import numpy
    import tables
    with tables.open_file(str(path), "w") as file:
        array = file.create_vlarray("/", "events", tables.Float32Atom())
        for i in range(30):
            array.append(values()[i, :1 + i % 4])
    return numpy.where(numpy.arange(4) <= numpy.arange(30)[:, None] % 4, values()[:30], 0)[:, :, None]
