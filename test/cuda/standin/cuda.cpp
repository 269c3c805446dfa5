// The provider asks the driver for nothing by name.
