//go:build !linux

package transport

import (
	"errors"
	"net"
)

// setReusePort fails: the systems that know SO_REUSEPORT besides Linux give all datagrams
// to one of the sockets.
func setReusePort(uintptr) error { return errors.ErrUnsupported }

// setBuffers asks for the buffer sizes, and for less where the system refuses.
func setBuffers(sock *net.UDPConn, _ uintptr, cfg Config) {
	set := func(f func(int) error, size int) {
		for size >= 64<<10 && f(size) != nil {
			size /= 2
		}
	}
	set(sock.SetReadBuffer, cfg.ReceiveBuffer)
	set(sock.SetWriteBuffer, cfg.SendBuffer)
}

var native = portableSystem
