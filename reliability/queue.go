package reliability

// pump sends what waits for a peer, in order, as far as NSTART, PROBING_RATE and message
// IDs allow, and sets the peer's timer where time will allow more.
func (e *Endpoint) pump(n uint32) {
	p := e.peers.at(n)
	for {
		x, ok, at := e.next(p)
		if !ok {
			if at > 0 {
				e.wakes.set(n, at)
			} else {
				e.wakes.stop(n)
			}
			return
		}
		e.exchanges.unlink(&p.waiting, x)
		e.start(x)
	}
}

// next returns the message among those that wait for a peer that is to go now. If only time
// can bring one, at is when to ask again. Confirmable ones pass those that PROBING_RATE
// holds back.
func (e *Endpoint) next(p *peerState) (n uint32, ok bool, at instant) {
	held := never
	for n, more := e.exchanges.first(&p.waiting); more; n, more = e.exchanges.after(n) {
		x := e.exchanges.at(n)
		if held < never && !x.confirmable {
			continue // behind one of its kind
		}
		if at := e.heldBack(p, x); at > e.now {
			held = at
			continue
		}
		if ok, at = e.admits(p, x); ok {
			return n, true, 0
		} else if at > 0 {
			held = min(held, at)
		}
		break
	}
	if held == never {
		held = 0
	}
	return 0, false, held
}

// heldBack returns until when PROBING_RATE holds a message back; the past for not at all.
// §4.7 ties the rate to when a client stops to expect a response "to a Confirmable request
// that was acknowledged, or to a Non-confirmable request"; of what is not acknowledged the
// back-off takes care.
func (e *Endpoint) heldBack(p *peerState, x *exchange) instant {
	if !x.limited || x.confirmable {
		return 0
	}
	// §4.7: "an endpoint does not exceed an average data rate of PROBING_RATE in sending to
	// another endpoint that does not respond".
	return e.probe(p, len(x.datagram))
}

// admits reports whether a message may be transmitted now. If only time can change that,
// at is when to ask again.
func (e *Endpoint) admits(p *peerState, x *exchange) (ok bool, at instant) {
	// §4.7: "clients [...] MUST strictly limit the number of simultaneous outstanding
	// interactions [...] to NSTART".
	if x.limited && e.cfg.NStart > 0 && int(p.outstanding) >= e.cfg.NStart {
		return false, 0
	}
	if at := e.heldBack(p, x); at > e.now {
		return false, at
	}
	// §4.4: "The same Message ID MUST NOT be reused [...] within the EXCHANGE_LIFETIME".
	if w := e.window(p); w.live(e.epoch()) >= int(w.size) {
		return false, instant(e.epoch()+1) * e.epochLength()
	}
	return true, 0
}

// firePeers pumps the peers whose time has come.
func (e *Endpoint) firePeers() {
	for {
		t, ok := e.wakes.next()
		if !ok || t.at > e.now {
			return
		}
		e.wakes.stop(t.n)
		e.pump(t.n)
	}
}
