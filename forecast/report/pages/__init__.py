"""The pages of a report, one file each; their order stands in `report.contents`."""
