"""All families of files, in the order of the table."""
import single_cells  # noqa: F401
import matlab  # noqa: F401
import netcdf  # noqa: F401
import hdfstore  # noqa: F401
import arrays  # noqa: F401
import other_formats  # noqa: F401
from field_file import FILES, table  # noqa: F401
