"""Source type tsv: as csv, with a tab between the values."""

from syncengine.sources._csvsource import CsvPlugin


class Tsv(CsvPlugin):
    name = "tsv"
    extensions = ("tsv",)
    delimiter = "\t"


PLUGIN = Tsv()
