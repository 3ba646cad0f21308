package cost

import "time"

// A Packet is one IP packet: what the application put into it, and its headers.
type Packet struct {
	What    string // such as "CON GET"
	Up      bool   // from the node
	Bytes   int    // of the message, or of a part of the stream
	Headers int    // of IP and transport
}

// A Sum is what packets cost over a link.
type Sum struct {
	Packets, Frames int
	Messages        int           // bytes of the application
	Headers         int           // of IP and transport, as they are sent
	LinkBytes       int           // around them: of frames, fragments, padding and acknowledgements of the link
	UpTime          time.Duration // the node sends
	DownTime        time.Duration // the node receives
	UpBytes         int           // on air
	DownBytes       int
	Charge          float64 // C, of the node's radio
}

// Bytes is all that is on air.
func (s *Sum) Bytes() int { return s.Messages + s.Headers + s.LinkBytes }

// AirTime is how long the radio is in use.
func (s *Sum) AirTime() time.Duration { return s.UpTime + s.DownTime }

// Reckon adds up what packets cost over a link.
func Reckon(l *Link, packets []Packet) Sum {
	var s Sum
	for _, p := range packets {
		s.Packets++
		s.Messages += p.Bytes
		s.Headers += p.Headers
		frames := l.frames(p.Headers, p.Bytes)
		onAir := 0
		for _, content := range frames {
			s.Frames++
			onAir += content + l.Header
			s.spend(p.Up, content+l.Header, l.airTime(content, p.Up))
			if l.Ack > 0 {
				onAir += l.Ack
				s.spend(!p.Up, l.Ack, bitTime(l.Ack, l.rate(!p.Up)))
			}
		}
		s.LinkBytes += onAir - p.Bytes - p.Headers
	}
	s.Charge = s.UpTime.Seconds()*l.Transmit + s.DownTime.Seconds()*l.Receive
	return s
}

// spend counts bytes and time in their direction.
func (s *Sum) spend(up bool, bytes int, t time.Duration) {
	if up {
		s.UpBytes += bytes
		s.UpTime += t
	} else {
		s.DownBytes += bytes
		s.DownTime += t
	}
}

// A Schedule says how often a node reports, and what from.
type Schedule struct {
	Every    time.Duration // between two exchanges
	Capacity float64       // C, of the battery
	Sleep    float64       // A, between exchanges and beside them
	Awake    time.Duration // that the radio listens beyond what is on air, in each exchange
}

// Mean is the mean current in A.
func (s *Schedule) Mean(l *Link, sum *Sum) float64 {
	return s.Sleep + (sum.Charge+s.Awake.Seconds()*l.Receive)/s.Every.Seconds()
}

// Life is how long the battery lasts, in seconds, without its self-discharge.
func (s *Schedule) Life(l *Link, sum *Sum) float64 { return s.Capacity / s.Mean(l, sum) }

// mss is how many bytes of a stream a TCP segment carries: what fits the least packet
// that every IPv6 link takes.
const mss = 1280 - ipv6 - tcp

// OverTCP returns the packets of a TCP connection that carries a request and a response:
// the handshake, the segments, the acknowledgements that no segment carries, and the close.
// In a connection that is kept open handshake and close are left out.
func OverTCP(l *Link, request, response int, clientIsNode, keepOpen bool) []Packet {
	var all []Packet
	add := func(what string, fromClient bool, bytes, headers int) {
		all = append(all, Packet{What: what, Up: fromClient == clientIsNode, Bytes: bytes, Headers: headers})
	}
	if !keepOpen {
		add("SYN", true, 0, l.SYN)
		add("SYN, ACK", false, 0, l.SYN)
		add("ACK", true, 0, l.TCP)
	}
	stream := func(what string, fromClient bool, bytes int) {
		for sent := 1; bytes > 0; sent++ {
			add(what, fromClient, min(bytes, mss), l.TCP)
			if bytes -= mss; sent%2 == 0 && bytes > 0 {
				add("ACK", !fromClient, 0, l.TCP) // of each second segment (RFC 5681 §4.2)
			}
		}
	}
	stream("request", true, request)
	stream("response", false, response)
	if keepOpen {
		add("ACK", true, 0, l.TCP)
		return all
	}
	add("FIN, ACK", true, 0, l.TCP)
	add("FIN, ACK", false, 0, l.TCP)
	add("ACK", true, 0, l.TCP)
	return all
}
