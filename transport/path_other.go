//go:build !linux

package transport

import "github.com/motewire/coap/peer"

func pathBytes(peer.Addr) (n int, ok bool) { return 0, false }
