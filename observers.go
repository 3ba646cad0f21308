package coap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/motewire/coap/blockwise"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/observe"
	"github.com/motewire/coap/reliability"
)

// observation is the server's side of RFC 7641 in an engine: the list of observers, and
// what its numbers stand for.
type observation struct {
	observers *observe.Registry
	resources map[*Subject]*observedResource
	idle      []observe.Resource // numbers out of use
	numbers   observe.Resource   // how many numbers there are
	reps      []*representation  // by their number; nil: out of use
	idleReps  []observe.Representation
	byKey     map[string]*representation
	notes     []notice // notifications under way, by the slot of their exchange
	// displaced are those whose slot was taken by another exchange before their events were
	// polled: a Non-confirmable notification is over when it is given to the message layer.
	displaced     []notice
	pastDisplaced int      // of displaced, how many have had their event
	places        []uint32 // of observers, by slot: index+1 in waiting of their representation, if it is theirs
	// superseding are retransmissions that wait for a newer state to be rendered.
	superseding []observe.Notification
	observing   int  // observers
	registering bool // a request of the batch in hand asks to be registered
}

// An observedResource is a Subject with observers on this socket.
type observedResource struct {
	subject *Subject
	number  observe.Resource
	refs    int
	final   message.Code // of the last notification, once there is to be one; 0: 5.03
}

// A representation is what observers with equal requests see. It is rendered and encoded
// once per change; only header, token and Observe number differ.
type representation struct {
	number   observe.Representation
	refs     int
	resource *observedResource
	key      string
	request  []byte // a copy of the first observer's request
	payload  []byte // its body, where that came in several blocks
	transfer []byte // its key in block-wise transfer
	route    *route

	promised  contentType // of the initial response
	code      message.Code
	body      []byte             // the message behind the token; a success with three bytes of Observe
	observeAt int                // where in body the Observe option begins
	snapshot  blockwise.Snapshot // the whole, where body has the first block; else empty
	change    uint32             // the resource's count of changes that body shows
	at        time.Time          // when body was rendered
	dated     bool               // body has a Max-Age, which counts from at
	rendered  bool
	rendering bool
	slow      bool                   // the last rendering took its time
	waiting   []observe.Notification // for the rendering
	wanted    uint32                 // the change that the last of them is about
	shows     uint32                 // what was wanted when the last rendering began
}

// A contentType is the Content-Format that a representation was first sent in. The zero
// value is that of one that was not sent.
type contentType struct {
	known, named bool
	format       message.Format
}

// promise notes what the response to a registration was in: notifications are in the same
// (RFC 7641 §4.2).
func (rep *representation) promise(x *exchange) {
	if format, named := x.contentFormat(); !rep.promised.known && x.code == message.Content {
		rep.promised = contentType{known: true, named: named, format: format}
	}
}

// keptBy reports whether a notification is as promised.
func (c contentType) keptBy(x *exchange) bool {
	format, named := x.contentFormat()
	return !c.known || x.code != message.Content || named == c.named && format == c.format
}

// A notice is a notification in an exchange of the message layer.
type notice struct {
	observer observe.Observer
	exchange reliability.Outbound
	replaced bool // its next transmission is a newer state already
}

// register takes a registration before its handler runs, so that no change is missed
// (RFC 7641 §4.1). It is called under the shard's lock.
func (e *engine) register(now time.Time, x *exchange) {
	res := e.resourceOf(x.route.subject, x.route.policy)
	rep := e.representationOf(res, x)
	res.refs++
	rep.refs++
	r := e.observers.Register(now, x.peer, x.view.Token(), res.number, rep.number)
	switch r.Outcome {
	case observe.New, observe.Replaced:
		e.observing++
	case observe.Refreshed, observe.Refused:
		e.unref(rep)
	}
	e.removed(now, r.Removed)
	x.observer, x.sequence, x.observes = r.Observer, r.Sequence, rep
}

// deregister ends the observation that a request with this token ends: one with Observe
// 1, or without Observe, or for something that can't be observed (RFC 7641 §4.1).
func (e *engine) deregister(now time.Time, x *exchange) {
	removal, _ := e.observers.Deregister(now, x.peer, x.view.Token())
	e.removed(now, removal)
}

// removed lets go of what belonged to an observation that is over.
func (e *engine) removed(now time.Time, r observe.Removal) {
	if r.Observer == 0 {
		return
	}
	e.observing--
	if r.Exchange != 0 {
		e.ep.Cancel(now, reliability.Outbound(r.Exchange))
		e.forgetNote(reliability.Outbound(r.Exchange))
	}
	e.unref(e.reps[r.Representation])
}

// unref gives up one use of a representation and its resource.
func (e *engine) unref(rep *representation) {
	res := rep.resource
	if rep.refs--; rep.refs == 0 {
		delete(e.byKey, rep.key)
		e.reps[rep.number] = nil
		e.idleReps = append(e.idleReps, rep.number)
	}
	if res.refs--; res.refs == 0 {
		e.idle = append(e.idle, res.number)
		if e.resources[res.subject] == res {
			delete(e.resources, res.subject)
			res.subject.detach(e.shard)
		}
	}
}

// retire takes a Subject's resource out of use, nil if it has none here: from now on
// registrations and changes are for another one.
func (e *engine) retire(s *Subject) *observedResource {
	res := e.resources[s]
	if res != nil {
		delete(e.resources, s)
		s.detach(e.shard)
	}
	return res
}

// drop ends some observations of a resource that was retired, without a word, and reports
// whether there are more.
func (e *engine) drop(now time.Time, res *observedResource, limit int) (n int, more bool) {
	for ; n < limit && res.refs > 0 && !e.shard.closed; n++ {
		removal, ok := e.observers.Drop(now, res.number)
		if !ok {
			return n, false
		}
		e.removed(now, removal)
	}
	return n, res.refs > 0 && !e.shard.closed
}

func (e *engine) resourceOf(subject *Subject, policy NotifyPolicy) *observedResource {
	if res := e.resources[subject]; res != nil {
		return res
	}
	res := &observedResource{subject: subject, number: e.numbers}
	if n := len(e.idle); n > 0 {
		res.number, e.idle = e.idle[n-1], e.idle[:n-1]
	} else {
		e.numbers++
	}
	_ = e.observers.SetPolicy(res.number, policy) // checked at registration of the route
	e.resources[subject] = res
	subject.attach(e.shard)
	return res
}

// representationOf finds or makes what a request asks for. Its key is all of the request
// that can matter to the answer, byte for byte.
func (e *engine) representationOf(res *observedResource, x *exchange) *representation {
	b, _ := x.view.Block2() // the size of blocks matters
	e.key = append(binary.BigEndian.AppendUint32(e.key[:0], uint32(res.number)), b.SZX)
	from := len(e.key)
	e.key = blockwise.AppendKey(e.key, &x.view)
	to := len(e.key)
	e.key = append(e.key, x.req.Payload()...)
	e.key = binary.BigEndian.AppendUint32(e.key, uint32(len(e.key)-to))
	if rep := e.byKey[string(e.key)]; rep != nil {
		return rep
	}
	rep := &representation{
		number:   observe.Representation(len(e.reps)),
		resource: res, key: string(e.key), route: x.route,
		request: bytes.Clone(x.view.Datagram()), payload: bytes.Clone(x.assembled),
		transfer: bytes.Clone(e.key[from:to]),
	}
	if n := len(e.idleReps); n > 0 {
		rep.number, e.idleReps = e.idleReps[n-1], e.idleReps[:n-1]
	} else {
		e.reps = append(e.reps, nil)
	}
	e.reps[rep.number], e.byKey[rep.key] = rep, rep
	return rep
}

// current reports whether what was rendered is the state after so many changes.
func (rep *representation) current(change uint32) bool { return rep.rendered && rep.change == change }

// aged reports whether the Max-Age in what was rendered is not true any more (RFC 7641
// §4.3.1): a notification that had to wait is rendered again then.
func (rep *representation) aged(now time.Time) bool {
	return rep.dated && now.Sub(rep.at) >= time.Second
}

// gather polls some notifications. Those whose state is rendered are sent; the others
// wait for the representations that it appends to stale.
func (e *engine) gather(now time.Time, stale []*representation) (_ []*representation, more bool) {
	for range batchSize {
		var n observe.Notification
		if k := len(e.superseding); k > 0 {
			n, e.superseding = e.superseding[k-1], e.superseding[:k-1]
		} else if polled, ok := e.observers.Poll(now); ok {
			n = polled
		} else {
			return stale, false
		}
		if !e.observers.Active(n.Observer) {
			continue
		}
		rep := e.reps[n.Representation]
		switch {
		case n.Final || rep.current(n.Change) && !rep.aged(now):
			e.notify(now, n, rep)
		default:
			e.wait(n, rep)
			if !rep.rendering {
				rep.rendering = true
				stale = append(stale, rep)
			}
		}
	}
	return stale, true
}

// wait keeps a notification until its state is rendered. An earlier one to the same observer
// that waits for a rendering that has not begun is not sent any more (RFC 7641 §4.5.1).
func (e *engine) wait(n observe.Notification, rep *representation) {
	rep.wanted = n.Change
	slot := n.Observer.Slot()
	for slot >= len(e.places) {
		e.places = append(e.places, 0)
	}
	if i := int(e.places[slot]) - 1; i >= 0 && i < len(rep.waiting) {
		if earlier := &rep.waiting[i]; earlier.Observer == n.Observer && after(earlier.Change, rep.shows) {
			*earlier = n
			e.observers.Overtaken()
			return
		}
	}
	rep.waiting = append(rep.waiting, n)
	e.places[slot] = uint32(len(rep.waiting))
}

// after reports whether a count of changes is later than another.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// begin says that a rendering for those who wait begins now. It returns the change that it
// shows, if not a later one.
func (rep *representation) begin() (change uint32) {
	rep.shows = rep.wanted
	return rep.shows
}

// rendered takes a state that was rendered and sends it to those who wait for it. It
// reports whether there was a change since, so that it has to be rendered again.
func (e *engine) rendered(now time.Time, rep *representation, change uint32) (again bool) {
	rep.rendered, rep.change = true, change
	later := rep.waiting[:0]
	for _, n := range rep.waiting {
		if after(n.Change, change) {
			later = append(later, n)
			e.places[n.Observer.Slot()] = uint32(len(later))
		} else {
			e.notify(now, n, rep)
		}
	}
	if rep.waiting = later; len(later) == 0 && cap(later) > 16*batchSize {
		rep.waiting = nil
	}
	rep.rendering = len(rep.waiting) > 0
	return rep.rendering
}

// errNotReplaced says that a notification has to go in a message of its own.
var errNotReplaced = errors.New("coap: exchange is over")

// notify gives a notification to the message layer.
func (e *engine) notify(now time.Time, n observe.Notification, rep *representation) {
	if !e.observers.Active(n.Observer) {
		return // it went, or has got its last notification, while the state was rendered
	}
	last := n.Final || !rep.code.IsSuccess()
	datagram, err := e.encodeNotification(n, rep)
	if err == nil && n.Replaces != 0 {
		x := reliability.Outbound(n.Replaces)
		if e.ep.Replace(now, x, datagram) {
			e.notes[x.Slot()].replaced = true
		} else { // acknowledged meanwhile, or no message ID is free
			e.ep.Cancel(now, x)
			e.forgetNote(x)
			err = errNotReplaced
		}
	} else if err == nil {
		var x reliability.Outbound
		x, err = e.ep.Send(now, n.Peer, datagram, reliability.SendOptions{Confirmable: n.Confirmable})
		if err == nil {
			e.take(x, n.Observer)
		}
	}
	if err != nil {
		e.observers.Unsent(now, n.Observer)
		return
	}
	if rep.snapshot.Body != nil && !last {
		e.responses.KeepNotified(now, n.Peer, rep.transfer, rep.payload, rep.snapshot)
	}
	if last {
		e.conclude(now, n.Observer)
	}
}

// take keeps the observer under the slot of its exchange.
func (e *engine) take(x reliability.Outbound, observer observe.Observer) {
	for x.Slot() >= len(e.notes) {
		e.notes = append(e.notes, notice{})
	}
	if earlier := e.notes[x.Slot()]; earlier.exchange != 0 {
		e.displaced = append(e.displaced, earlier)
	}
	e.notes[x.Slot()] = notice{observer: observer, exchange: x}
}

// conclude says that a notification was the last one.
func (e *engine) conclude(now time.Time, observer observe.Observer) {
	removal, _ := e.observers.Conclude(now, observer)
	e.removed(now, removal)
}

// encodeNotification writes header, token and Observe number around what is the same for
// all observers. The datagram is valid until the next call.
func (e *engine) encodeNotification(n observe.Notification, rep *representation) ([]byte, error) {
	code := rep.code
	if n.Final {
		if code = rep.resource.final; code == 0 {
			code = message.ServiceUnavailable
		}
	}
	encoder := message.AppendHeader(e.scratch[:0], message.NonConfirmable, code, 0, n.Token)
	b, err := encoder.Finish(nil)
	if err != nil || n.Final {
		return b, err
	}
	if !code.IsSuccess() {
		e.scratch = append(b, rep.body...)
		return e.scratch, nil
	}
	b = append(b, rep.body[:rep.observeAt]...)
	header := rep.body[rep.observeAt] & 0xf0 // the option's delta stays
	switch s := n.Sequence; {                // RFC 7252 §3.2: the shortest form
	case s == 0:
		b = append(b, header)
	case s < 1<<8:
		b = append(b, header|1, byte(s))
	case s < 1<<16:
		b = append(b, header|2, byte(s>>8), byte(s))
	default:
		b = append(b, header|3, byte(s>>16), byte(s>>8), byte(s))
	}
	e.scratch = append(b, rep.body[rep.observeAt+4:]...)
	return e.scratch, nil
}

// noteOf returns the notification in an exchange, nil if it is none.
func (e *engine) noteOf(x reliability.Outbound) *notice {
	if i := x.Slot(); i >= 0 && i < len(e.notes) && e.notes[i].exchange == x {
		return &e.notes[i]
	}
	if x == 0 {
		return nil
	}
	for i := e.pastDisplaced; i < len(e.displaced); i++ { // as a rule it is the first
		if e.displaced[i].exchange == x {
			e.pastDisplaced = i + 1
			return &e.displaced[i]
		}
	}
	return nil
}

// polled is called when all events are: the displaced notices have had theirs.
func (e *engine) polled() { e.displaced, e.pastDisplaced = e.displaced[:0], 0 }

func (e *engine) forgetNote(x reliability.Outbound) {
	if n := e.noteOf(x); n != nil {
		*n = notice{}
	}
}

// noted takes an event about a notification.
func (e *engine) noted(now time.Time, n *notice, ev reliability.Event, out *outbox) {
	observer := n.observer
	switch ev.Kind {
	case reliability.Transmit:
		if e.transmitting(now, n, ev) {
			out.copy(ev.Peer, ev.Datagram, ev.Attempt)
		}
	case reliability.Acknowledged:
		*n = notice{}
		removal, _ := e.observers.Acknowledged(now, observer)
		e.removed(now, removal)
	case reliability.Ended:
		*n = notice{}
		removal, _ := e.observers.Ended(now, observer, causeOf(ev.Err))
		e.removed(now, removal)
	}
}

// transmitting is told of every transmission of a notification. It reports false for a
// retransmission that is to carry a newer state instead, which follows (RFC 7641 §4.5.2).
func (e *engine) transmitting(now time.Time, n *notice, ev reliability.Event) bool {
	if ev.Attempt > 1 && !n.replaced {
		if newer, ok := e.observers.Supersede(now, n.observer); ok {
			e.superseding = append(e.superseding, newer)
			return false
		}
	}
	n.replaced = false
	id := message.ID(ev.Datagram[2])<<8 | message.ID(ev.Datagram[3])
	if message.Type(ev.Datagram[0]>>4&3) == message.Confirmable {
		active := e.observers.Sent(n.observer, id, observe.Exchange(ev.Outbound))
		if !active { // the observation ended before its exchange had begun
			e.ep.Cancel(now, ev.Outbound)
			*n = notice{}
		}
		return active
	}
	e.observers.Sent(n.observer, id, 0)
	*n = notice{} // the exchange of a Non-confirmable message is over
	return true
}

// whole reports whether a request is no part of a transfer but its end: only then it can
// be a registration.
func whole(v *message.View) bool {
	b1, _ := v.Block1()
	b2, _ := v.Block2()
	return !b1.More && b2.Num == 0
}

// registers reports whether a request asks to be put on the list of observers.
func registers(v *message.View) bool {
	value, ok := v.Observe()
	return ok && value == 0 && (v.Code() == message.GET || v.Code() == message.FETCH) && !v.Extended()
}
