"""Climate and the like: netCDF-4, which is HDF5, written by netCDF4 and xarray; netCDF-3, which is not."""
from field_file import field_file


def kelvin():
    import numpy
    random = numpy.random.default_rng(6)
    return (280 + random.normal(0, 5, (60, 1, 1)) + random.normal(0, 1, (60, 12, 16))).astype("f4")


def write(path, values, kind, format="NETCDF4", group="", unlimited=False, extra=None, **attributes):
    import netCDF4
    with netCDF4.Dataset(path, "w", format=format) as file:
        place = file.createGroup(group) if group else file
        for name, size in zip(("time", "lat", "lon"), values.shape):
            place.createDimension(name, None if unlimited and name == "time" else size)
            place.createVariable(name, "f8", (name,))[:] = range(size)
        fill = attributes.pop("_FillValue", None)
        stored = place.createVariable("t2m", kind, ("time", "lat", "lon"), zlib=format == "NETCDF4", fill_value=fill)
        stored.setncatts(attributes)
        stored[:] = values
        if extra is not None:
            place.createVariable("sp", "f4", ("time", "lat", "lon"))[:] = extra


@field_file("netCDF-4, one variable and its coordinates", "netCDF4", "t2m.nc")
def plain(path):
    write(path, kelvin(), "f4")
    return kelvin()


@field_file("netCDF-4, packed (scale_factor, add_offset)", "netCDF4", "t2m.nc", tolerance=1e-4)
def packed(path):
    write(path, kelvin(), "i2", scale_factor=0.01, add_offset=280.0, _FillValue=-32768)
    return kelvin()


@field_file("netCDF-4, packed in unsigned bytes", "netCDF4", "t2m.nc", tolerance=2e-3)
def packed_bytes(path):
    write(path, kelvin(), "u1", scale_factor=0.25, add_offset=250.0)
    return kelvin()[:, None]  # images, as all bytes (N, H, W)


@field_file("netCDF-4, an unlimited dimension", "netCDF4", "t2m.nc")
def unlimited(path):
    write(path, kelvin(), "f4", unlimited=True)
    return kelvin()


@field_file("netCDF-4, in a group", "netCDF4", "t2m.nc")
def in_group(path):
    write(path, kelvin(), "f4", group="forecast")
    return kelvin()


@field_file("netCDF-4, two variables", "netCDF4", "two.nc", refused="has 2 datasets that could be the rows")
def two_variables(path):
    write(path, kelvin(), "f4", extra=kelvin())


@field_file("netCDF-4, one of two variables", "netCDF4", "two.nc", "--data.x=/t2m")
def named_variable(path):
    write(path, kelvin(), "f4", extra=2 * kelvin())
    return kelvin()


@field_file("netCDF-4, missing values", "netCDF4", "t2m.nc", refused="which its attribute _FillValue declares missing")
def missing(path):
    import numpy
    values = numpy.ma.array(kelvin(), mask=False)
    values[7, 3, 4] = numpy.ma.masked
    write(path, values, "f4", _FillValue=-9999.0)


@field_file("netCDF-4 of xarray, packed", "xarray", "air.nc", tolerance=1e-4)
def xarray_packed(path):
    import numpy
    import pandas
    import xarray
    time = pandas.date_range("2020-01-01", periods=60)
    air = xarray.DataArray(kelvin(), dims=("time", "lat", "lon"), name="air",
                           coords={"time": time, "lat": numpy.arange(12.0), "lon": numpy.arange(16.0)})
    air.to_netcdf(path, engine="netcdf4", encoding={"air": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0,
                                                            "_FillValue": -32767, "zlib": True}})
    return kelvin()


@field_file("netCDF-4 of xarray, NaN is missing", "xarray", "air.nc", refused="has a value that is not finite")
def xarray_nan(path):
    import xarray
    values = kelvin()
    values[9, 0, 0] = float("nan")
    xarray.DataArray(values, dims=("time", "lat", "lon"), name="air").to_netcdf(path, engine="netcdf4")


@field_file("netCDF-3", "netCDF4", "classic.nc", refused="is a netCDF file before version 4")
def classic(path):
    write(path, kelvin(), "f4", format="NETCDF3_CLASSIC")


@field_file("netCDF-4, four variables", "netCDF4", "era.nc", refused="has 4 datasets that could be the rows")
def four_variables(path):
    import netCDF4
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(("time", "lat", "lon"), (60, 12, 16)):
            file.createDimension(name, size)
        for name in ("q500", "t500", "u500", "v500"):
            file.createVariable(name, "f4", ("time", "lat", "lon"))[:] = kelvin()


@field_file("netCDF-4, unsigned in signed bytes (_Unsigned)", "netCDF4", "goes.nc")
def unsigned(path):
    import netCDF4
    import numpy
    values = numpy.random.default_rng(12).integers(0, 251, (60, 12)).astype("u1")
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", 60)
        file.createDimension("band", 12)
        stored = file.createVariable("radiance", "i1", ("time", "band"))
        stored.set_auto_maskandscale(False)
        stored.setncattr("_Unsigned", "true")
        stored[:] = values.view("i1")
    return values


@field_file("netCDF-4, values that were never written", "netCDF4", "gaps.nc", refused="which netCDF's fill value declares missing")
def never_written(path):
    import netCDF4
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", 60)
        file.createDimension("station", 6)
        stored = file.createVariable("rain", "i2", ("time", "station"))
        stored[:] = 3
        stored[:, :5] = kelvin()[:, 0, :5]
        stored.set_auto_mask(False)
        stored[8, 2] = netCDF4.default_fillvals["i2"]
