package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// A DeliveryError is the Err of a Packet that was not delivered. errors.Is finds the
// cause that the system names: syscall.ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE,
// EPERM, ENOBUFS and others.
type DeliveryError struct {
	// Err is the cause, a syscall.Errno where the system gives one.
	Err error
	// Reporter is the node whose ICMP message tells the cause. It is invalid where
	// this host itself refused to send.
	Reporter netip.Addr
	// Type and Code are those of the ICMP or ICMPv6 message, 0 without Reporter.
	Type, Code uint8
}

// Error says what happened and who says so.
func (e *DeliveryError) Error() string {
	if !e.Reporter.IsValid() {
		return "transport: send: " + e.Err.Error()
	}
	return fmt.Sprintf("transport: %v, says %v (ICMP type %d code %d)", e.Err, e.Reporter, e.Type, e.Code)
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// Transient reports whether this host had no room for the datagram at that moment: it is
// lost like one that a router drops, and may be sent again.
func (e *DeliveryError) Transient() bool {
	if e.Reporter.IsValid() {
		return false
	}
	for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, wsaNoBuffers} {
		if errors.Is(e.Err, errno) {
			return true
		}
	}
	return false
}

// wsaNoBuffers is WSAENOBUFS, what Windows calls ENOBUFS. No other system has an error of
// this number.
const wsaNoBuffers = syscall.Errno(10055)

// ended returns the error of a call on a socket that is beyond use: net.ErrClosed itself
// after Close, anything else named for the call.
func ended(call string, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return fmt.Errorf("transport: %s: %w", call, err)
}

// cause returns the system's own error within one of package net.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
