// Package coap is a CoAP server and client (RFC 7252) for those who know net/http.
//
// A [Server] serves a [Handler], usually a [Mux] with net/http's patterns; a [Client]
// sends requests. Message IDs, tokens, retransmission and deduplication are the
// library's business and appear nowhere in a user's code:
//
//	mux := coap.NewMux()
//	mux.HandleFunc("GET /hello", func(w coap.ResponseWriter, r *coap.Request) {
//		w.Write([]byte("hello"))
//	})
//	err := (&coap.Server{Handler: mux}).ListenAndServe(ctx, ":5683")
//
//	resp, err := coap.Get(ctx, "coap://localhost/hello")
//
// # Large bodies
//
// What does not fit into one message goes in blocks (RFC 7959), in both directions and by
// itself: a handler and a caller see whole bodies. Nobody has to hold one:
//
//   - A [Stream] is a body that is read while it is sent, in a request or by
//     [ResponseWriter.SetBody] in a response.
//   - [Response.Body] fetches block after block as it is read; [Response.Bytes] is all of it.
//     [Client.ReaderAt] reads ranges, [Block] asks for one block.
//   - A handler of a route with [StreamBody] reads the request's body as it arrives.
//
// [BlockSize] bounds the blocks of a call, [Limits] those of an endpoint, the bodies held
// and the transfers. A transfer that fails says at which block, by a [blockwise.Error].
//
// # Observing
//
// [Client.Observe] follows a resource (RFC 7641). A server has a [State], a value whose
// changes are notified, or a [Subject] for everything else.
//
// # Answers and errors
//
// A 4.xx or 5.xx is a [Response], not an error; [Response.Err] makes one. What fails without
// an answer is an [*OpError] around [ErrTimeout], [ErrReset], [ErrUnreachable] and others, for
// errors.Is. The end of a context stops retransmissions.
//
// # Resources
//
// The core of a server answers 4.02, 4.04, 4.05 and 5.05, and /.well-known/core from the
// routes of its [Mux]. What a route declares is checked before its handler runs: [Produces],
// [Consumes], [Validate] (ETags and preconditions), [BodyLimit], [Multicast]. A handler may block, or
// [ResponseWriter.Detach] and have another goroutine answer.
//
// [Client.Group] asks a multicast group, [Client.Ping] whether somebody is there, and
// [Request.Peer] is the way for a server to ask its client.
//
// # Limits
//
// Every table has a bound and every default a reason: [Limits], [Params], and docs/limits.md in
// the repository. [Server.AddressValidation] and [Server.RateLimit] are against hostile networks.
// [Server.Stats] and [Trace] tell what goes on. Package coaptest is what httptest is for HTTP.
//
// # Ownership
//
// What a [Request] points to is valid until its handler returns; [Request.Clone] keeps
// it. What a [Response] holds belongs to the caller. Nobody acquires or releases
// anything.
//
// # Layers
//
// The root package joins the protocol packages: message (the codec), reliability (the
// message layer), observe (observers and notifications), blockwise (bodies in blocks),
// linkformat (discovery) and transport (datagrams in batches). Of these only transport knows
// locks, and none has goroutines. A socket with its state is a shard; the goroutine that reads the
// socket owns the shard and runs quick handlers in place.
package coap

import "github.com/motewire/coap/message"

// DefaultPort is the UDP port of the coap scheme (RFC 7252 §6.1).
const DefaultPort = 5683

// A Handler answers requests. It may simply block: when it takes longer than a moment,
// other requests are read elsewhere and the empty Acknowledgement goes out by itself.
//
// A handler that returns without having written anything answers with the method's
// usual success code and no payload: 2.05 Content to GET and FETCH, 2.02 Deleted to
// DELETE, 2.04 Changed to the others. One that panics answers 5.00.
type Handler interface {
	ServeCoAP(w ResponseWriter, r *Request)
}

// HandlerFunc makes a function a [Handler].
type HandlerFunc func(w ResponseWriter, r *Request)

// ServeCoAP calls f.
func (f HandlerFunc) ServeCoAP(w ResponseWriter, r *Request) { f(w, r) }

// Error answers with an error code and a diagnostic payload, UTF-8 text that is meant for
// people (RFC 7252 §5.5.2). What has been written before is dropped.
func Error(w ResponseWriter, code message.Code, diagnostic string) {
	w.Reset()
	w.SetCode(code)
	w.WriteString(diagnostic)
}

// defaultCode is what a handler's silence means.
func defaultCode(method message.Code) message.Code {
	switch method {
	case message.GET, message.FETCH:
		return message.Content
	case message.DELETE:
		return message.Deleted
	}
	return message.Changed
}
