package reliability

// pump sends what waits for a peer, in order, as far as NSTART, PROBING_RATE and message
// IDs allow, and sets the peer's timer where time will allow more.
func (e *Endpoint) pump(n uint32) {
	p := e.peers.at(n)
	for {
		x, ok := e.exchanges.first(&p.waiting)
		if !ok {
			e.wakes.stop(n)
			return
		}
		if ok, at := e.admits(p, e.exchanges.at(x)); !ok {
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

// admits reports whether a message may be transmitted now. If only time can change that,
// at is when to ask again.
func (e *Endpoint) admits(p *peerState, x *exchange) (ok bool, at instant) {
	if x.limited {
		// §4.7: "clients [...] MUST strictly limit the number of simultaneous outstanding
		// interactions [...] to NSTART".
		if e.cfg.NStart > 0 && int(p.outstanding) >= e.cfg.NStart {
			return false, 0
		}
		// §4.7: "an endpoint does not exceed an average data rate of PROBING_RATE in
		// sending to another endpoint that does not respond".
		if at := e.probe(p, len(x.datagram)); at > e.now && !x.again {
			return false, at
		}
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
