package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// The exit statuses.
const (
	exitOK          = 0   // a 2.xx, or what was asked is done
	exitUsage       = 1   // a command line that makes no sense
	exitIO          = 2   // a local file, stream or socket
	exitTimeout     = 3   // time-out or unreachable
	exitClientError = 4   // a 4.xx
	exitServerError = 5   // a 5.xx
	exitProtocol    = 6   // Reset, or a message that breaks the protocol
	exitSecurity    = 7   // security
	exitObservation = 8   // observation refused or ended early
	exitInterrupted = 130 // interrupted by the user
	exitPipe        = 141 // nobody reads standard output any more; shells say so for SIGPIPE
)

// A statusError ends the command with a status. A nil err ends it without a word, where
// the output has said all.
type statusError struct {
	status int
	err    error
}

// Error returns the text of the cause, empty where there is none.
func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *statusError) Unwrap() error { return e.err }

// usageErrorf makes an error that says in one line what to do instead.
func usageErrorf(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

// ioError marks an error of a local file or stream.
func ioError(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{exitIO, err}
}

// exitStatus returns the status that an error ends the command with. What nobody has
// classified comes from the parser of the command line.
func exitStatus(err error) int {
	var status *statusError
	var path *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, syscall.EPIPE):
		return exitPipe
	case errors.As(err, &status):
		return status.status
	case errors.As(err, &path), errors.As(err, &errno):
		return exitIO
	}
	return exitUsage
}
