"""The spine of Instar: records, contracts, models, store, statistics, and the loop that joins them."""

__version__ = "0.1.0"
