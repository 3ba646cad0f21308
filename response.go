package coap

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// A Response is what a peer answered. It belongs to the caller for good, who must not use
// one on several goroutines at once. One that nobody reads to its end leaves nothing
// behind.
type Response struct {
	// Code is the response code. 4.xx and 5.xx are responses too, not errors: see Err.
	Code message.Code
	// Body reads the whole body. Blocks that did not come with the response are fetched
	// as they are read, with the context of the call (RFC 7959 §2.4). Its errors are
	// *[OpError] and final; where the representation changes under way, the error is
	// ErrETagChanged, as what was read can't be taken back. [Response.Bytes] begins again.
	Body io.Reader
	// RTT is the time from the first transmission of the request to the response.
	RTT time.Duration
	// Attempts is how often the request was transmitted.
	Attempts int

	view message.View
	read int // bytes of the payload that Body has given out
	peer peerAddr
	// rest is the body where it didn't fit into the message; nil: the payload is all.
	rest *remainder
}

// newResponse copies a received message.
func newResponse(v *message.View, from peerAddr) *Response {
	r := &Response{Code: v.Code(), peer: from}
	_ = r.view.Parse(append([]byte(nil), v.Datagram()...)) // v was parsed from the same bytes
	r.Body = (*payloadReader)(r)
	return r
}

// ParseResponse makes a Response of a copy of a datagram: for tests and tools. Errors are
// *[message.FormatError], or say that the message is no response.
func ParseResponse(datagram []byte) (*Response, error) {
	var v message.View
	if err := v.Parse(datagram); err != nil {
		return nil, err
	}
	if !v.Code().IsResponse() {
		return nil, fmt.Errorf("coap: %v is not a response", v.Code())
	}
	return newResponse(&v, peerAddr{}), nil
}

// payloadReader is a Response as the reader of its body.
type payloadReader Response

func (p *payloadReader) Read(b []byte) (int, error) {
	if p.rest != nil {
		return p.rest.Read(b)
	}
	rest := p.view.Payload()[p.read:]
	if len(rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, rest)
	p.read += n
	return n, nil
}

// Payload returns the payload of this one message, nil where there is none. Of a body that
// takes several it is the first block: [Response.Bytes] returns the whole.
func (r *Response) Payload() []byte { return r.view.Payload() }

// Bytes returns the whole body. Where Body was read before, it is what is left. Blocks that
// did not come with the response are fetched with the context of the call, up to
// [Limits].BodyBytes: a larger body is ErrTooLarge.
//
// Where the representation changes before all of it is here, and nothing was read of Body,
// Bytes begins again, a few times; the Response is then the one of the new representation.
// That is so for GET and FETCH alone, as other methods must not run twice, and for a FETCH
// whose request was one message: else it is ErrETagChanged.
func (r *Response) Bytes() ([]byte, error) {
	if p, own := r.Body.(*payloadReader); !own || (*Response)(p) != r {
		return io.ReadAll(r.Body)
	}
	if r.rest != nil {
		return r.rest.all(r)
	}
	rest := r.view.Payload()[r.read:]
	r.read += len(rest)
	return append([]byte{}, rest...), nil
}

// partial reports whether the message holds a block that is not the whole body.
func (r *Response) partial() bool {
	b, blockwise := r.view.Block2()
	return blockwise && (b.More || b.Num > 0 || !b.Valid())
}

// Err returns nil for a 2.xx and a [*ResponseError] for anything else.
func (r *Response) Err() error {
	if r.Code.IsSuccess() || r.Code == message.Empty {
		return nil
	}
	e := &ResponseError{Code: r.Code, RetryAfter: r.RetryAfter()}
	if _, described := r.view.ContentFormat(); !described {
		e.Diagnostic = strings.ToValidUTF8(string(r.Payload()), "\uFFFD") // §5.5.2
	}
	return e
}

// ContentFormat returns the payload's Content-Format where the peer named one.
func (r *Response) ContentFormat() (message.Format, bool) { return r.view.ContentFormat() }

// ETag returns the representation's label.
func (r *Response) ETag() (message.Tag, bool) { return r.view.ETag() }

// MaxAge returns how long the response is fresh, from its reception on; 60 s where the
// peer said nothing (RFC 7252 §5.10.5).
func (r *Response) MaxAge() time.Duration {
	if age, ok := r.view.MaxAge(); ok {
		return age
	}
	return 60 * time.Second
}

// RetryAfter returns how long the server asks its client to wait before it sends a similar
// request: Max-Age of a 4.29 (RFC 8516 §4) and of a 5.03 (RFC 7252 §5.9.3.4), from the
// response's reception on. It is 0 for any other code. The client itself repeats nothing
// that was answered so.
func (r *Response) RetryAfter() time.Duration {
	if r.Code != message.TooManyRequests && r.Code != message.ServiceUnavailable {
		return 0
	}
	return r.MaxAge()
}

// Location returns the path, and query, of the resource that was created as a relative
// reference: "/readings/7". It is empty where the response names none, or no valid one
// (RFC 7252 §5.10.7).
func (r *Response) Location() string {
	reference, _ := r.view.Location()
	return reference
}

// Peer returns the address that answered.
func (r *Response) Peer() netip.AddrPort { return r.peer.AddrPort() }

// Message returns the message as it was received. Where a call ends without a response
// ([NoResponse]) it is that of an Empty message.
func (r *Response) Message() *message.View { return &r.view }
