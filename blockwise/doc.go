// Package blockwise transfers bodies that are too large for one message (RFC 7959), with
// the Request-Tag of RFC 9175 §3 telling apart what overlaps.
//
// It holds four state machines without sockets, goroutines and clocks. None of them
// sends anything: they say which block goes into a message that the caller builds, and
// what a message that has arrived means.
//
//   - [Assembler], one per shard of a server, puts the blocks of request bodies together.
//   - [Store], likewise, keeps the bodies of responses of which later blocks will be asked for;
//     [Wish.Slice] chooses the block that answers a request.
//   - [Upload], one per request of a client, slices its body.
//   - [Download], one per response of a client, fetches its blocks.
//
// # Server
//
// Every request whose options and route are settled goes to [Assembler.Receive], or to
// [Assembler.Stream] where the route reads its body as it arrives. Then, by outcome:
//
//   - Continue, Incomplete, TooLarge, Bad and Busy are answered at once: [Outcome.Code] with
//     [Result.Block1] where [Result.Blockwise] says so, Size1 where the body is TooLarge, Max-Age
//     where the Assembler is Busy. A Continue of a stream may be held back until its reader has
//     taken the piece, so that a fast client waits.
//   - Repeated: the last block of a body that was handed over before. It is answered with what
//     [Store.Find] has kept; while the handler still runs it waits for that response, too;
//     otherwise with 4.08. The handler does not run again.
//   - Whole and Complete give a body. A request with a Block2 of NUM above 0 first looks for
//     [Store.Find]; what is found is sliced and sent. What is not found is answered with 4.08,
//     unless the method is [Repeatable] and the request's own body is at hand, which a FETCH
//     without payload may have left behind (§2.7): then the handler runs, and the block is cut
//     from what it makes anew. Any other request goes to the handler. [Result.IfNoneMatch] is
//     checked when the body is committed (§2.10).
//
// A response to Whole or Complete carries [Result.Block1] where [Result.Blockwise] says so.
// Its body goes through [Wish.Slice]. Where that leaves something over ([Slice.More]), or
// where the request came in blocks, the whole response goes to [Store.Keep]; it gets an ETag,
// [ETag] of the body where the handler gave none. A Complete body is the caller's, and best
// comes back by [Assembler.Recycle] when the handler is done. After any input the caller
// drains [Assembler.Poll] and arms a timer for both Deadlines.
//
// A notification carries the first block alone (§2.6), cut by the Wish of the registration
// with NUM 0; where there is more, [Store.KeepNotified] takes the whole, as far as there is
// room: notifications have a quarter of it. The blocks of one that was not kept are made anew,
// and their ETag tells where the state has changed since.
//
// # Client
//
// A request with a body asks [Upload.Next] for the block to send and shows each response to
// [Upload.Response], until that reports the final one. The final response, and any response
// to a request without a body, goes to [Download.Add], which says whether more has to be
// fetched: then [Download.Next] is the Block2 option of the next request, which repeats the
// options of the first one but Block1, Size1, Observe, If-None-Match and No-Response and has
// no payload (§2.7); that of a FETCH which fitted into one message may be repeated. Before
// the first response Download.Next is the wish that goes with the (last block of the)
// request. A notification is a first response like any other (§2.6). Next says the same
// until a response has come, so that a block that timed out can be sent again under a new
// message ID.
//
// Nothing in a block says of which body it is. A client that uploads to a resource while
// blocks of an earlier upload to it may still be on their way, because it gave that one up
// or because both go on at once, sends a new Request-Tag with all blocks (RFC 9175 §3.4,
// §3.5.2), and with the Block2 requests that follow them. Choosing it is the caller's.
//
// # Limits
//
// Both tables of a server have a bound on entries, on entries per peer and on bytes, and an
// idle time, by default EXCHANGE_LIFETIME, that begins anew with each block that brings
// something new. At a bound on entries the one that was idle for longest goes, of the same
// peer where it is that peer's bound. Where the bytes of unfinished bodies reach their bound,
// one that has brought nothing new for 10 s goes, so that nobody holds the memory by a block
// now and then; where none has, further blocks get 5.03, for otherwise uploads would push out
// each other and none would end. Stats count all of it.
package blockwise
