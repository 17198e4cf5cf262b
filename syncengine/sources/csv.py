"""Source type csv: files of values between commas, as PostgreSQL's COPY reads them."""

from syncengine.sources._csvsource import CsvPlugin


class Csv(CsvPlugin):
    name = "csv"
    extensions = ("csv",)
    delimiter = ","


PLUGIN = Csv()
