package coap_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/message"
	"github.com/motewire/coap/transport/simnet"
)

// RFC 7252 §4.4, §5.3.2: what answers a request has its message ID or its token, and comes
// from the endpoint that was asked. Nothing else ends a call, be it from another port of the
// same host or with all but one of them right.
func TestForgedAnswers(t *testing.T) {
	for _, typ := range []message.Type{message.Confirmable, message.NonConfirmable} {
		coaptest.Run(t, func(t *testing.T) {
			n := simnet.New(1)
			server, url := rawServer(t, n)
			c := &coap.Client{Listen: coaptest.Listen(n)}
			var options []coap.RequestOption
			if typ == message.NonConfirmable {
				options = append(options, coap.NonConfirmable)
			}
			answered := make(chan string, 1)
			go func() {
				resp, err := c.Get(t.Context(), url, options...)
				if err != nil {
					answered <- err.Error()
					return
				}
				answered <- string(resp.Payload())
			}()
			v := server.receive(0)
			id, token := v.ID(), v.Token()
			server.mu.Lock()
			client := server.from.Remote()
			server.mu.Unlock()
			for i, from := range []string{"10.9.9.9:5684", "10.9.9.8:5683", "10.9.9.9:5683"} {
				forger := server
				if i < 2 {
					forger = rawPeerOn(t, n, netip.MustParseAddrPort(from), server.conn.LocalAddr())
					forger.to = client
					forger.send( // right but for where it comes from
						datagram(t, message.Acknowledgement, message.Empty, id, message.Token{}, ""),
						datagram(t, message.Reset, message.Empty, id, message.Token{}, ""),
						datagram(t, message.Acknowledgement, message.Content, id, token, "forged"),
						datagram(t, message.NonConfirmable, message.Content, 100, token, "forged"),
						datagram(t, message.Confirmable, message.Content, 101, token, "forged"),
					)
					if r := forger.receive(0); r.Type() != message.Reset {
						t.Errorf("%v, want a Reset", r)
					}
				}
				forger.to = client
				for guess := range 1000 { // and wherever it comes from
					guessed, _ := message.MakeToken([]byte{byte(guess >> 8), byte(guess)})
					forger.send(datagram(t, message.NonConfirmable, message.Content, message.ID(1000+guess), guessed, "guessed"))
				}
				forger.send(
					datagram(t, message.Acknowledgement, message.Content, id, tokenOf(9), "guessed"),
					datagram(t, message.Acknowledgement, message.Content, id+1, token, "guessed"),
					datagram(t, message.Acknowledgement, message.Empty, id+1, message.Token{}, ""),
					datagram(t, message.Reset, message.Empty, id+1, message.Token{}, ""),
				)
			}
			synctest.Wait()
			if len(answered) > 0 {
				t.Fatalf("%v: %s", typ, <-answered)
			}
			if typ == message.Confirmable { // nothing of it was an acknowledgement
				for range 4 {
					if again := server.receive(48 * time.Second); again.ID() != id {
						t.Errorf("%v, want the request again", again)
					}
				}
			}
			server.send(datagram(t, message.NonConfirmable, message.Content, 7, token, "true"))
			if got := <-answered; got != "true" {
				t.Errorf("%v: %s", typ, got)
			}
			c.Close()
		})
	}
}

// RFC 7252 §4.4: an Acknowledgement or Reset counts where it has the message ID of what was
// sent, and comes from where that went. A separate response goes on, to the peer that asked.
func TestForgedAcknowledgements(t *testing.T) {
	withServer(t, slow(time.Second, "done"), nil, func(t *testing.T, s *coaptest.Server) {
		p, forger := newRawPeer(t, s), newRawPeer(t, s)
		p.send(datagram(t, message.Confirmable, message.GET, 1, tokenOf(1), ""))
		p.receive(time.Second) // Empty Acknowledgement
		v := p.receive(time.Second)
		for i := range 4 {
			for _, typ := range []message.Type{message.Acknowledgement, message.Reset} {
				forger.send(datagram(t, typ, message.Empty, v.ID(), message.Token{}, ""))
				p.send(datagram(t, typ, message.Empty, v.ID()+1, message.Token{}, ""))
			}
			if again := p.receive(48 * time.Second); again.ID() != v.ID() || again.Type() != message.Confirmable {
				t.Fatalf("transmission %d: %v, want %v again", i+2, again, v)
			}
		}
		p.send(datagram(t, message.Acknowledgement, message.Empty, v.ID(), message.Token{}, ""))
		p.silence(time.Minute)
		forger.silence(0)
	})
}

// RFC 7252 §4.8.2, §11.4: after EXCHANGE_LIFETIME a recorded request is a new one. What it
// may do then is for the resource to say, by preconditions, or for the server by a challenge,
// which whoever replays it can't answer (RFC 9175 §2.3).
func TestReplayedRequests(t *testing.T) {
	for _, mode := range []coap.AddressValidation{coap.AddressValidationOff, coap.EchoAlways} {
		withValidation(t, mode, nil, func(t *testing.T, s *validated) {
			p := newRawPeer(t, s.Server)
			request := func(options ...message.Option) []byte {
				return datagram(t, message.Confirmable, message.POST, 1, tokenOf(1), "open the door", append(options, path("short"))...)
			}
			p.send(request())
			v := p.receive(0)
			recorded := request()
			if echo, ok := v.Echo(); ok {
				recorded = request(message.Option{Number: message.Echo, Value: echo})
				recorded[3]++ // another message ID
				p.send(recorded)
				v = p.receive(0)
			}
			if v.Code() != message.Changed || s.runs.Load() != 1 {
				t.Fatalf("%v: %v after %d runs", mode, v, s.runs.Load())
			}
			for range 10 {
				time.Sleep(24 * time.Second)
				p.send(recorded)
				if again := p.receive(0); again.Code() != message.Changed || s.runs.Load() != 1 {
					t.Errorf("%v: %v after %d runs", mode, again, s.runs.Load())
				}
			}
			time.Sleep(20 * time.Minute)
			p.send(recorded)
			code, runs := message.Changed, int32(2)
			if mode == coap.EchoAlways {
				code, runs = message.Unauthorized, 1
			}
			if again := p.receive(0); again.Code() != code || s.runs.Load() != runs {
				t.Errorf("%v: %v after %d runs, want %v after %d", mode, again, s.runs.Load(), code, runs)
			}
		})
	}
}

// blocks sends the block of an upload to a path of its own, 64 bytes.
func (p *rawPeer) block(id message.ID, name string, num byte, more bool) {
	p.t.Helper()
	const szx = 2 // 64 bytes
	value := num<<4 | szx
	if more {
		value |= 8
	}
	p.send(datagram(p.t, message.NonConfirmable, message.PUT, id, tokenOf(1), strings.Repeat("x", 64),
		path(name), message.Option{Number: message.Block1, Value: []byte{value}}))
}

// takesBodies is a resource that tells how much has come and sends as much back.
var takesBodies = coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
	if r.Method == message.GET {
		w.Write(make([]byte, 3000))
		return
	}
	fmt.Fprint(w, len(r.Payload()))
})

// Half-open transfers are bounded in number and bytes. One endpoint has its share of them and
// no more; many addresses, as a forger has, push out each other's.
func TestFloodOfHalfOpenTransfers(t *testing.T) {
	limits := coap.Limits{Transfers: 100, TransfersPerPeer: 10, BodyBytes: 16 << 10, TransferBytes: 64 << 10, TransferBytesPerPeer: 32 << 10}
	withServer(t, takesBodies, func(s *coaptest.Server) { s.Config.Limits = limits }, func(t *testing.T, s *coaptest.Server) {
		check := func(transfers int) {
			t.Helper()
			stats := s.Config.Stats()
			if u, r := stats.Uploads, stats.Responses; u.Transfers > transfers || r.Snapshots > transfers ||
				u.TransferBytes > limits.TransferBytes || r.SnapshotBytes > limits.TransferBytes {
				t.Errorf("%+v, %+v", u, r)
			}
		}
		upload := func() {
			t.Helper()
			resp, err := s.Client().Put(t.Context(), s.URL+"/x", coap.Raw(make([]byte, 4000)), coap.BlockSize(64))
			if err != nil {
				t.Fatal(err)
			}
			checkResponse(t, resp, message.Changed, "4000")
			if body, err := get(t, s.Client(), s.URL+"/x", coap.BlockSize(64)).Bytes(); len(body) != 3000 || err != nil {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		}
		s.Network.SetDefault(simnet.Link{Delay: time.Millisecond})
		half := func(p *rawPeer, i int) {
			p.block(message.ID(2*i), fmt.Sprint(i), 0, true)
			p.send(datagram(t, message.NonConfirmable, message.GET, message.ID(2*i+1), tokenOf(2), "", path(fmt.Sprint(i))))
		}
		one := newRawPeer(t, s)
		go func() { // a datagram a millisecond, in the midst of which the others come and go
			for i := range 500 {
				half(one, i)
				time.Sleep(2 * time.Millisecond)
				<-one.in
				<-one.in
			}
		}()
		upload()
		check(2 * limits.TransfersPerPeer)
		time.Sleep(time.Minute)
		check(2 * limits.TransfersPerPeer)
		for i := range 1000 {
			half(newRawPeer(t, s), i)
		}
		time.Sleep(time.Second)
		check(limits.Transfers)
		time.Sleep(time.Minute) // they stand still, and give way
		upload()
		check(limits.Transfers)
		time.Sleep(time.Hour)
		check(0)
	})
}

// Slow loris: addresses that each hold as much as they may, and keep it by a block shortly
// before it would be given up, don't keep others from sending bodies.
func TestSlowLoris(t *testing.T) {
	limits := coap.Limits{BodyBytes: 4 << 10, TransferBytes: 16 << 10, TransferBytesPerPeer: 8 << 10, TransferTimeout: time.Minute}
	withServer(t, takesBodies, func(s *coaptest.Server) { s.Config.Limits = limits }, func(t *testing.T, s *coaptest.Server) {
		var slow []*rawPeer
		for range 20 {
			slow = append(slow, newRawPeer(t, s))
		}
		refused := 0
		for num := range byte(15) {
			for i, p := range slow {
				for name := range 2 {
					p.block(message.ID(num)<<4|message.ID(name), fmt.Sprint(name), num, true)
					if p.receive(0).Code() == message.ServiceUnavailable {
						refused++
					}
				}
				if stats := s.Config.Stats().Uploads; stats.TransferBytes > limits.TransferBytes {
					t.Fatalf("block %d of peer %d: %+v", num, i, stats)
				}
			}
			time.Sleep(limits.TransferTimeout - time.Second)
			resp, err := s.Client().Put(t.Context(), s.URL+"/x", coap.Raw(make([]byte, 4000)), coap.BlockSize(64))
			if err != nil {
				t.Fatal(err)
			}
			checkResponse(t, resp, message.Changed, "4000")
		}
		if refused == 0 {
			t.Error("the memory was never full")
		}
	})
}

// A flood of message IDs fills the table of duplicates up to its bound; who comes beside it is
// served, and a request of its own is recognised again, as older ones of the flood go first.
func TestFloodOfMessageIDs(t *testing.T) {
	var runs atomic.Int32
	count := coap.HandlerFunc(func(coap.ResponseWriter, *coap.Request) { runs.Add(1) })
	const bytes = 256 << 10
	withServer(t, count, func(s *coaptest.Server) { s.Config.Limits.DedupBytes = bytes }, func(t *testing.T, s *coaptest.Server) {
		flood, p := newRawPeer(t, s), newRawPeer(t, s)
		for id := range 1 << 16 {
			typ := message.Type(id % 2) // Confirmable, Non-confirmable
			flood.send(datagram(t, typ, message.GET, message.ID(id), tokenOf(1), ""))
			flood.receive(0)
			if id%1000 != 0 {
				continue
			}
			before := runs.Load()
			for range 2 {
				p.send(datagram(t, message.Confirmable, message.POST, message.ID(id), tokenOf(1), ""))
				p.receive(0)
			}
			if n := runs.Load() - before; n != 1 {
				t.Errorf("%d runs for a request and its duplicate", n)
			}
			if n := s.Config.Stats().Messages; n.RememberedBytes > bytes+4<<10 {
				t.Fatalf("%d bytes for %d messages", n.RememberedBytes, n.Remembered)
			}
		}
		n := s.Config.Stats().Messages
		if n.EvictedIdempotent == 0 || n.EvictedNonConfirmable == 0 || n.EvictedNonIdempotent > 0 {
			t.Errorf("%+v", n)
		}
		time.Sleep(time.Hour)
		if n := s.Config.Stats().Messages; n.Remembered != 0 || n.RememberedBytes > 64<<10 {
			t.Errorf("%+v", n)
		}
	})
}

// askRaw sends a GET with these options, and returns the answer.
func askRaw(p *rawPeer, id message.ID, options ...message.Option) *message.View {
	p.t.Helper()
	p.send(datagram(p.t, message.Confirmable, message.GET, id, tokenOf(1), "", options...))
	return p.receive(0)
}

// A path is compared octet by octet (RFC 7252 §6.5): what looks the same is not, what is
// spelt in another way is not decoded again, and a segment never becomes two.
func TestNastyPaths(t *testing.T) {
	mux := coap.NewMux()
	mux.HandleFunc("GET /files/{name}", func(w coap.ResponseWriter, r *coap.Request) {
		fmt.Fprintf(w, "%x %s", r.PathValue("name"), r.Path())
	})
	mux.Handle("GET /secret", say("secret"))
	mux.Handle("GET /caf\u00e9", say("composed"))
	withServer(t, mux, nil, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		for i, segment := range []string{
			"..", ".", "../secret", "a/b", "%2e%2e", "%2F", "a\x00b", "\xff\xfe", "\xc0\xaf", "caf\u00e9", "cafe\u0301",
			"\u202egpj.exe", "\ufeff", "a\r\nb", "\x1b[2J", "a?b#c", strings.Repeat("\u0301", 127),
		} {
			v := askRaw(p, message.ID(i), path("files"), path(segment))
			if want := fmt.Sprintf("%x %s", segment, "/files/"+segment); v.Code() != message.Content || string(v.Payload()) != want {
				t.Errorf("%q: %v %q, want %q", segment, v.Code(), v.Payload(), want)
			}
		}
		for i, segments := range [][]string{
			{"files", "..", "secret"}, {".", "secret"}, {"files/../secret"}, {"SECRET"}, {"secret\x00"}, {"secret", ""}, {"", "secret"},
			{"\uff53ecret"}, {"cafe\u0301"}, {"caf\xe9"}, {"caf%C3%A9"}, {"\ufeffsecret"},
		} {
			var options []message.Option
			for _, segment := range segments {
				options = append(options, path(segment))
			}
			if v := askRaw(p, message.ID(100+i), options...); v.Code() != message.NotFound {
				t.Errorf("%q: %v %s", segments, v.Code(), v.Payload())
			}
		}
		if v := askRaw(p, 200, path("caf\u00e9")); string(v.Payload()) != "composed" {
			t.Errorf("%v", v)
		}
	})
}

// As many and as long segments and arguments as a datagram holds are no more than a path that
// is not there and arguments that a handler may look at.
func TestURIBombs(t *testing.T) {
	mux := coap.NewMux()
	mux.HandleFunc("GET /count", func(w coap.ResponseWriter, r *coap.Request) {
		n := 0
		for range r.Queries() {
			n++
		}
		_, found := r.LookupQuery("last")
		fmt.Fprint(w, n, found)
	})
	mux.HandleFunc("GET /rest/{rest...}", func(w coap.ResponseWriter, r *coap.Request) { fmt.Fprint(w, len(r.PathValue("rest"))) })
	mux.Handle("GET /y/{a}/{b}/x", say("x"))
	mux.Handle("GET /y/{a}/y/y", say("y"))
	withServer(t, mux, func(s *coaptest.Server) { s.Config.Limits.DatagramBytes = 65507 }, func(t *testing.T, s *coaptest.Server) {
		p := newRawPeer(t, s)
		many := func(n int, number message.OptionNumber, value string, first ...message.Option) []message.Option {
			for range n {
				first = append(first, message.Option{Number: number, Value: []byte(value)})
			}
			return first
		}
		longest := strings.Repeat("s", 255)
		for i, test := range []struct {
			options []message.Option
			want    string
		}{
			{many(65_000, message.URIPath, ""), "4.04"},
			{many(250, message.URIPath, longest), "4.04"},
			{many(30_000, message.URIPath, "y"), "4.04"},
			{many(65_000, message.URIPath, "", path("rest")), "2.05 64999"},
			{many(250, message.URIPath, longest, path("rest")), "2.05 63999"},
			{many(65_000, message.URIQuery, "", path("count")), "2.05 65000 false"},
			{many(250, message.URIQuery, longest, path("count")), "2.05 250 false"},
			{append(many(30_000, message.URIQuery, "q", path("count")), message.Option{Number: message.URIQuery, Value: []byte("last")}), "2.05 30001 true"},
			{many(65_000, message.URIQuery, "rt=x", path(".well-known"), path("core"))[:13_000], "2.05"},
			{many(20_000, message.URIHost, "h"), "4.02 unrecognized critical option Uri-Host"},
			{many(1, message.URIPath, longest+"s"), "4.02 unrecognized critical option Uri-Path"},
		} {
			v := askRaw(p, message.ID(i), test.options...)
			got := strings.TrimSpace(fmt.Sprintf("%v %s", v.Code(), v.Payload()))
			if got != strings.TrimSpace(test.want) {
				t.Errorf("%d: %s, want %s", i, got, test.want)
			}
		}
		for _, url := range []string{s.URL + strings.Repeat("/"+longest, 300), s.URL + strings.Repeat("/", 70_000), s.URL + "/" + longest + "s",
			s.URL + "/?" + strings.Repeat("&", 70_000)} {
			_, err := s.Client().Get(t.Context(), url)
			if !errors.Is(err, coap.ErrTooLarge) && !errors.Is(err, coap.ErrURL) {
				t.Errorf("a URL of %d bytes: %.200v", len(url), err)
			}
		}
	})
}
