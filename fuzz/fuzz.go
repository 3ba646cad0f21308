// Package fuzz holds the fuzz targets that span packages: a whole server and a whole
// client, fed with datagrams and time steps in virtual time. Those of a single package
// stand beside its code. Everything here is a test.
package fuzz
