"""Suppliers and ERP systems, one file per system."""
