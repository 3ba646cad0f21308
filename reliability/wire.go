package reliability

import (
	"bytes"
	"encoding/binary"

	"github.com/motewire/coap/message"
	"github.com/motewire/coap/peer"
)

// headerLength is the fixed part of a message (RFC 7252 §3).
const headerLength = 4

// writeHeader sets type and message ID of an encoded message.
func writeHeader(datagram []byte, t message.Type, id message.ID) {
	datagram[0] = datagram[0]&^0x30 | byte(t)<<4
	binary.BigEndian.PutUint16(datagram[2:], uint16(id))
}

// checkSend returns why a message can't be sent as o says.
func checkSend(to peer.Addr, datagram []byte, o SendOptions) error {
	if len(datagram) < headerLength || datagram[0]>>6 != 1 || !to.IsValid() {
		return ErrDatagram
	}
	// §8.1: "Such multicast requests MUST be Non-confirmable".
	if o.Confirmable && to.IsMulticast() {
		return ErrMulticastConfirmable
	}
	code := message.Code(datagram[1])
	if code == message.Empty {
		// §4.2, §4.3: only a Confirmable message may be Empty, to elicit a Reset.
		if !o.Confirmable || o.Expect != ExpectNothing || len(datagram) != headerLength {
			return ErrDatagram
		}
		return nil
	}
	if o.Expect == ExpectNothing {
		return nil
	}
	var b [message.MaxTokenLength]byte
	token := o.Token.Append(b[:0])
	if !code.IsRequest() || int(datagram[0]&15) != len(token) || !bytes.HasPrefix(datagram[headerLength:], token) {
		return ErrDatagram
	}
	return nil
}
