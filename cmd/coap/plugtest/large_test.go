package plugtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/motewire/coap"
	"github.com/motewire/coap/coaptest"
	"github.com/motewire/coap/linkformat"
	"github.com/motewire/coap/message"
)

// varied is a text of n bytes whose blocks differ.
func varied(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ways ", i)
	}
	return b.String()[:n]
}

func TestLargeResources(t *testing.T) {
	const frame = "/-------------------------------------------------------------\\\n" +
		"|                 RESOURCE BLOCK NO. %d OF 5                   |\n" +
		"|               [each line contains 64 bytes]                 |\n" +
		"\\-------------------------------------------------------------/\n"
	var text string
	for n := range 5 {
		text += fmt.Sprintf(frame, n+1)
	}
	if len(text) != 1280 {
		t.Fatalf("%d bytes", len(text))
	}
	json, long := coap.Bytes([]byte(varied(maxBody)), message.AppJSON), coap.Text(varied(maxBody+1))
	put := func(body coap.Body, code message.Code, opts ...coap.RequestOption) step {
		return done(message.PUT, "/large-update", body, code, opts...)
	}
	tests := map[string][]step{
		"large": {
			get("/large", text), get("/large", text, coap.Accept(message.TextPlain)), get("/large", text, coap.BlockSize(16)),
			done(message.GET, "/large", none, message.Valid, coap.ETag(large.tag().Append(nil))),
			refused(message.GET, "/large", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			refused(message.PUT, "/large", coap.Text(text), message.MethodNotAllowed),
		},
		"large-update": {
			get("/large-update", text),
			put(json, message.Changed),
			get("/large-update", varied(maxBody)).as(message.AppJSON),
			get("/large-update", varied(maxBody), coap.Accept(message.AppJSON), coap.BlockSize(64)).as(message.AppJSON),
			refused(message.GET, "/large-update", none, message.NotAcceptable, coap.Accept(message.TextPlain)),
			refused(message.PUT, "/large-update", coap.Raw([]byte(text)), message.BadRequest),
			refused(message.PUT, "/large-update", long, message.RequestEntityTooLarge),
			refused(message.PUT, "/large-update", json, message.PreconditionFailed, coap.IfNoneMatch),
			refused(message.PUT, "/large-update", json, message.PreconditionFailed, coap.IfMatch([]byte{1})),
			refused(message.POST, "/large-update", json, message.MethodNotAllowed),
			get("/large-update", varied(maxBody)).as(message.AppJSON),
			put(coap.Text(""), message.Changed, coap.IfMatch(nil)),
			done(message.GET, "/large-update", none, message.Content).as(message.TextPlain),
		},
		"large-create": {
			get("/large-create", "").as(message.AppLinkFormat),
			done(message.POST, "/large-create", json, message.Created),
			done(message.POST, "/large-create", coap.Text("2"), message.Created, coap.BlockSize(16)),
			refused(message.POST, "/large-create", coap.Raw([]byte("x")), message.BadRequest),
			refused(message.POST, "/large-create", long, message.RequestEntityTooLarge),
			get("/large-create", "</large-create/1>,</large-create/2>").as(message.AppLinkFormat),
			refused(message.GET, "/large-create", none, message.NotAcceptable, coap.Accept(message.AppJSON)),
			get("/large-create/1", varied(maxBody)).as(message.AppJSON),
			get("/large-create/2", "2"),
			refused(message.GET, "/large-create/1", none, message.NotAcceptable, coap.Accept(message.TextPlain)),
			refused(message.PUT, "/large-create/1", json, message.MethodNotAllowed),
			refused(message.MakeCode(0, 31), "/large-create/1", none, message.MethodNotAllowed),
			refused(message.DELETE, "/large-create/1", none, message.PreconditionFailed, coap.IfMatch([]byte{1})),
			done(message.DELETE, "/large-create/1", none, message.Deleted),
			refused(message.GET, "/large-create/1", none, message.NotFound),
			refused(message.DELETE, "/large-create/1", none, message.NotFound),
			refused(message.PUT, "/large-create/1", json, message.NotFound),
			refused(message.GET, "/large-create/3", none, message.NotFound),
			refused(message.GET, "/large-create/02", none, message.NotFound),
			refused(message.GET, "/large-create/", none, message.NotFound),
			get("/large-create", "</large-create/2>").as(message.AppLinkFormat),
			done(message.POST, "/large-create", coap.Text("3"), message.Created),
			get("/large-create/3", "3"),
			refused(message.DELETE, "/large-create", none, message.MethodNotAllowed),
		},
		"large-post": {
			{method: message.POST, path: "/large-post", body: coap.Text("ab[z]{é"), code: message.Changed, want: "AB[Z]{é"},
			{method: message.POST, path: "/large-post", body: coap.Text(varied(maxBody)), code: message.Changed, want: strings.ToUpper(varied(maxBody))},
			{method: message.POST, path: "/large-post", body: coap.Text(varied(1025)), opts: []coap.RequestOption{coap.BlockSize(32)},
				code: message.Changed, want: strings.ToUpper(varied(1025))},
			refused(message.POST, "/large-post", json, message.UnsupportedContentFormat),
			refused(message.POST, "/large-post", coap.Raw([]byte("x")), message.BadRequest),
			refused(message.POST, "/large-post", coap.Raw([]byte(varied(2000))), message.BadRequest),
			refused(message.POST, "/large-post", coap.Text("x"), message.NotAcceptable, coap.Accept(message.AppJSON)),
			refused(message.POST, "/large-post", long, message.RequestEntityTooLarge),
			refused(message.GET, "/large-post", none, message.MethodNotAllowed),
		},
		"echo": {
			{method: message.POST, path: "/echo?rlen=8192", body: coap.Text("x"), code: message.Changed, want: "x" + strings.Repeat("*", 8191)},
			{method: message.POST, path: "/echo?rlen=1500", body: coap.Text(varied(maxBody)), code: message.Changed, want: varied(1500)},
			{method: message.POST, path: "/echo", body: json, code: message.Changed, want: varied(maxBody), format: 50},
		},
		"fetch": {
			done(message.PUT, "/fetch", coap.Text("a="+varied(5000)+"\nb="+varied(3000)), message.Changed),
			get("/fetch", "a="+varied(5000)+"\nb="+varied(3000)+"\n"),
			{method: message.FETCH, path: "/fetch", body: coap.Text("b\n" + strings.Repeat("c\n", 1500)), code: message.Content, want: "b=" + varied(3000) + "\n"},
			refused(message.FETCH, "/fetch", long, message.RequestEntityTooLarge),
			done(message.IPATCH, "/fetch", coap.Text("c=1\nb=2\na="+varied(7000)), message.Changed),
			get("/fetch", "a="+varied(7000)+"\nb=2\nc=1\n"),
			refused(message.PATCH, "/fetch", coap.Text("b+=1\nd="+varied(1500)), message.RequestEntityTooLarge),
			done(message.PATCH, "/fetch", coap.Text("b+=1\na="+varied(1500)), message.Changed),
			get("/fetch", "a="+varied(1500)+"\nb=3\nc=1\n"),
		},
		"the others": {
			done(message.PUT, "/validate", json, message.Changed),
			get("/validate", varied(maxBody)).as(message.AppJSON),
			done(message.PUT, "/create1", json, message.Created, coap.IfNoneMatch),
			get("/create1", varied(maxBody)).as(message.AppJSON),
			refused(message.PUT, "/create1", json, message.PreconditionFailed, coap.IfNoneMatch),
			refused(message.GET, "/create1", none, message.NotFound),
			done(message.PUT, "/test", json, message.Changed),
			refused(message.PUT, "/test", json, message.PreconditionFailed, coap.IfNoneMatch),
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			for _, st := range steps {
				st.run(t, s)
			}
		})
	}
}

// The newest 100 children are kept, and discovery lists them.
func TestChildrenAreBounded(t *testing.T) {
	s := start(t)
	for n := range maxChildren + 3 {
		resp := done(message.POST, "/large-create", coap.Text(fmt.Sprint(n+1)), message.Created).run(t, s)
		if want := fmt.Sprintf("/large-create/%d", n+1); resp.Location() != want {
			t.Fatalf("Location %s, want %s", resp.Location(), want)
		}
	}
	refused(message.GET, "/large-create/3", none, message.NotFound).run(t, s)
	get("/large-create/4", "4").run(t, s)
	get("/large-create/103", "103").run(t, s)
	for _, path := range []string{"/large-create", "/.well-known/core?href=/large-create/*"} {
		if links := parseLinks(t, get(path, anyPayload).as(message.AppLinkFormat).run(t, s)); len(links) != maxChildren {
			t.Errorf("%s: %d links", path, len(links))
		}
	}
}

// Discovery tells the size that /large-update has now.
func TestDiscoveryOfTheCurrentSize(t *testing.T) {
	s := start(t)
	done(message.PUT, "/large-update", coap.Text(varied(4711)), message.Changed).run(t, s)
	links := parseLinks(t, get("/.well-known/core?href=/large-update", anyPayload).as(message.AppLinkFormat).run(t, s))
	l := links["/large-update"]
	sz, _ := l.Attribute("sz")
	rt, _ := l.Attribute("rt")
	if sz.Value != "4711" || rt.Value != "block" {
		t.Errorf("%s", linkformat.Append(nil, l))
	}
}

// block1 and block2 make a request one message with one block.
func block1(num int, more bool, size int) coap.RequestOption {
	return byHand(message.Block1, num, more, size)
}

func block2(num, size int) coap.RequestOption { return byHand(message.Block2, num, false, size) }

func byHand(n message.OptionNumber, num int, more bool, size int) coap.RequestOption {
	szx, _ := message.SZXForSize(size)
	b := message.Block{Num: uint32(num), More: more, SZX: szx}.Encode()
	return coap.Option(n, []byte{byte(b >> 16), byte(b >> 8), byte(b)})
}

// Any block of a representation may be asked for first, by any endpoint, also in turn with
// blocks of another size. A block beyond the end: 4.00.
func TestRandomAccess(t *testing.T) {
	s := start(t)
	done(message.PUT, "/large-update", coap.Text(varied(2000)), message.Changed).run(t, s)
	done(message.POST, "/large-create", coap.Text(varied(3000)), message.Created).run(t, s)
	done(message.PUT, "/validate", coap.Text(varied(1100)), message.Changed).run(t, s)
	for _, path := range []string{"/large", "/large-update", "/large-create/1", "/large-separate?delay=0", "/validate", "/obs-large"} {
		whole, err := s.Client().Get(t.Context(), s.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := whole.Bytes()
		if err != nil || len(body) <= 1024 {
			t.Fatalf("%s: %d bytes, %v", path, len(body), err)
		}
		tag := etag(t, whole)
		for _, size := range []int{1024, 16, 512, 64, 256, 32, 128} {
			client := &coap.Client{Listen: coaptest.Listen(s.Network)} // another endpoint
			last := (len(body) - 1) / size
			for _, num := range []int{last, 0, 1} {
				resp, err := client.Get(t.Context(), s.URL+path, block2(num, size))
				if err != nil {
					t.Fatal(err)
				}
				end := min((num+1)*size, len(body))
				if b, _ := resp.Message().Block2(); int(b.Num) != num || b.Size() != size || b.More != (num != last) ||
					string(resp.Payload()) != string(body[num*size:end]) || !slices.Equal(etag(t, resp), tag) {
					t.Errorf("%s: block %d of %d bytes: %v", path, num, size, resp.Message())
				}
			}
			beyond, err := client.Get(t.Context(), s.URL+path, block2(last+1, size))
			if err != nil || beyond.Code != message.BadRequest {
				t.Errorf("%s: block %d of %d bytes: %v %v", path, last+1, size, beyond.Code, err)
			}
			client.Close()
		}
	}
}

// Responses above the block size that the client asked for, or above 1,024 bytes, come with
// Block2. Size2 in a request is answered with the body's size.
func TestSizes(t *testing.T) {
	s := start(t)
	for _, tt := range []struct {
		path   string
		opts   []coap.RequestOption
		block2 bool
		size2  uint32 // 0: none
		length int    // of the payload
	}{
		{"/large", nil, true, 1280, 1024},
		{"/large", []coap.RequestOption{block2(0, 64)}, true, 1280, 64},
		{"/large", []coap.RequestOption{block2(2, 64), coap.Option(message.Size2, nil)}, true, 1280, 64},
		{"/link1", []coap.RequestOption{block2(0, 16), coap.Option(message.Size2, nil)}, true, 6, 6},
		{"/link1", []coap.RequestOption{coap.Option(message.Size2, nil)}, false, 6, 6},
		{"/link1", nil, false, 0, 6},
	} {
		resp, err := s.Client().Get(t.Context(), s.URL+tt.path, tt.opts...)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := resp.Message().Size2()
		if has := resp.Message().Has(message.Block2); has != tt.block2 || size != tt.size2 || len(resp.Payload()) != tt.length {
			t.Errorf("%s: %v, want %+v", tt.path, resp.Message(), tt)
		}
	}
}

// upload sends one block of a body and returns the response, which carries Block1.
func upload(t *testing.T, client *coap.Client, method message.Code, url, payload string, num int, more bool, size int, opts ...coap.RequestOption) *coap.Response {
	t.Helper()
	req := coap.NewRequest(method, url, coap.Text(payload), append(opts, block1(num, more, size))...)
	resp, err := client.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := resp.Message().Block1(); !ok || int(b.Num) != num || b.More != (resp.Code == message.Continue) {
		t.Errorf("%s: %v, want Block1 of block %d, with M for 2.31 alone", url, resp.Message(), num)
	}
	return resp
}

// expect fails the test where the response's code is another one.
func expect(t *testing.T, resp *coap.Response, code message.Code) {
	t.Helper()
	if resp.Code != code {
		t.Errorf("%v, want %v", resp.Message(), code)
	}
}

// Bodies in blocks have their effect at the last block. One that is too large gets 4.13
// with Size1 at once where Size1 says so, else when the limit is passed; a block that is
// not of its size gets 4.00.
func TestUploads(t *testing.T) {
	s := start(t)
	url := s.URL + "/large-update"
	block := varied(512)
	one := func(num int, more bool, payload string, opts ...coap.RequestOption) *coap.Response {
		t.Helper()
		return upload(t, s.Client(), message.PUT, url, payload, num, more, 512, opts...)
	}
	expect(t, one(0, true, block), message.Continue)
	expect(t, one(1, true, block), message.Continue)
	get("/large-update", string(large.body)).run(t, s)
	expect(t, one(2, false, "end"), message.Changed)
	get("/large-update", block+block+"end").run(t, s)

	expect(t, one(0, true, block[1:]), message.BadRequest)
	expect(t, one(0, true, block), message.Continue)
	expect(t, one(1, true, block+"x"), message.BadRequest)
	expect(t, one(7, true, block), message.RequestEntityIncomplete)

	tooLarge := func(resp *coap.Response) {
		t.Helper()
		expect(t, resp, message.RequestEntityTooLarge)
		if size, ok := resp.Message().Size1(); !ok || size != maxBody {
			t.Errorf("Size1 %d, %v", size, ok)
		}
	}
	tooLarge(one(0, true, block, coap.Option(message.Size1, []byte{0x20, 0x01})))
	expect(t, one(0, true, block, coap.Option(message.Size1, []byte{0x20, 0})), message.Continue)
	for num := 1; num < maxBody/512; num++ {
		expect(t, one(num, true, block), message.Continue)
	}
	tooLarge(one(maxBody/512, false, "x"))
	get("/large-update", block+block+"end").run(t, s)
}

// At least 64 unfinished uploads from 20 endpoints are kept: here 120, whose blocks come
// in turn, so that each would be mixed with others of its endpoint, or of its resource.
func TestManyUploads(t *testing.T) {
	const endpoints, each, blocks = 20, 6, 3
	s := start(t)
	var clients []*coap.Client
	for range endpoints {
		c := &coap.Client{Listen: coaptest.Listen(s.Network)}
		defer c.Close()
		clients = append(clients, c)
	}
	piece := func(client, n, num int) string {
		return fmt.Sprintf("%-16s", fmt.Sprint(client, "-", n, "-", num, " end"))
	}
	for num := range blocks {
		for i, c := range clients {
			for n := range each {
				url := fmt.Sprintf("%s/large-post?n=%d", s.URL, n)
				more := num < blocks-1
				resp := upload(t, c, message.POST, url, piece(i, n, num), num, more, 16)
				if more {
					expect(t, resp, message.Continue)
					continue
				}
				expect(t, resp, message.Changed)
				if want := strings.ToUpper(piece(i, n, 0) + piece(i, n, 1) + piece(i, n, 2)); string(resp.Payload()) != want {
					t.Errorf("%q, want %q", resp.Payload(), want)
				}
			}
		}
	}
}

// An abandoned upload is dropped after at most EXCHANGE_LIFETIME, 247 s.
func TestAbandonedUploads(t *testing.T) {
	for wait, want := range map[time.Duration]message.Code{
		240 * time.Second: message.Changed,
		247 * time.Second: message.RequestEntityIncomplete,
	} {
		coaptest.Run(t, func(t *testing.T) {
			s := coaptest.NewServer(New().Mux())
			defer s.Close()
			url := s.URL + "/large-update"
			expect(t, upload(t, s.Client(), message.PUT, url, varied(16), 0, true, 16), message.Continue)
			time.Sleep(wait)
			expect(t, upload(t, s.Client(), message.PUT, url, "end", 1, false, 16), want)
		})
	}
}

// Only the first request of a transfer is answered separately.
func TestLargeSeparate(t *testing.T) {
	for _, tt := range []struct {
		step
		ladder string
	}{
		{get("/large-separate", string(large.body)), "0s CON 0.01, 0s ACK 0.00, 1s CON 2.05, 1s ACK 0.00, 1s CON 0.01, 1s ACK 2.05"},
		{get("/large-separate?delay=300", string(large.body), coap.NonConfirmable), "0s NON 0.01, 300ms NON 2.05, 300ms NON 0.01, 300ms NON 2.05"},
	} {
		coaptest.Run(t, func(t *testing.T) {
			s := coaptest.NewServer(New().Mux())
			defer s.Close()
			w := watch(s)
			begin := time.Now()
			tt.run(t, s)
			synctest.Wait()
			if got := w.ladder(t, begin); got != tt.ladder {
				t.Errorf("%s\nwant %s", got, tt.ladder)
			}
		})
	}
	s := start(t)
	refused(message.GET, "/large-separate?delay=x", none, message.BadRequest).run(t, s)
	refused(message.GET, "/large-separate", none, message.NotAcceptable, coap.Accept(message.AppXML)).run(t, s)
	refused(message.POST, "/large-separate", none, message.MethodNotAllowed).run(t, s)
}

// /obs-large ticks as /obs does. Its notifications are confirmable and carry the first
// block, with ETag; the rest is fetched (RFC 7959 §2.6).
func TestObservationOfBlocks(t *testing.T) {
	ticking(t, func(t *testing.T, s *coaptest.Server) {
		begin := time.Now()
		w := watch(s)
		var mu sync.Mutex
		var bodies []string
		go func() {
			for resp, err := range s.Client().Observe(t.Context(), s.URL+"/obs-large") {
				if err != nil {
					return // the end of the test
				}
				body, err := resp.Bytes()
				mu.Lock()
				bodies = append(bodies, string(body))
				if err != nil || resp.MaxAge() != tickInterval || resp.Message().Type() == message.NonConfirmable || !resp.Message().Has(message.ETag) {
					t.Errorf("%v %v", resp.Message(), err)
				}
				mu.Unlock()
			}
		}()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		dashes := strings.Repeat("-", 63) + "\n"
		for i, body := range bodies {
			at := clockAt(begin, time.Duration(i)*tickInterval)
			if want := dashes + at + strings.Repeat(" ", 55) + "\n" + strings.Repeat(dashes, 20); body != want || len(body) != 1408 {
				t.Errorf("state %d: %q, want %q", i, body, want)
			}
		}
		if len(bodies) != 3 {
			t.Errorf("%d states, want 3", len(bodies))
		}
		notified := 0
		for _, v := range w.messages(t) {
			if v.Type() == message.Confirmable && v.Code() == message.Content {
				notified++
			}
		}
		if notified != 2 {
			t.Errorf("%d confirmable notifications, want 2", notified)
		}
		get("/obs-large", anyPayload).run(t, s)
		refused(message.GET, "/obs-large", none, message.NotAcceptable, coap.Accept(message.AppJSON)).run(t, s)
		refused(message.PUT, "/obs-large", coap.Text("x"), message.MethodNotAllowed).run(t, s)
	})
}

// /obs-reset ends the observations of /obs-large, too.
func TestResetOfLargeObservations(t *testing.T) {
	ticking(t, func(t *testing.T, s *coaptest.Server) {
		o := follow(t, s, "/obs-large")
		done(message.POST, "/obs-reset?notfound", coap.Text("sesame"), message.Changed).run(t, s)
		if log, _ := o.state(); len(log) != 2 || log[1] != "0s CON 4.04" {
			t.Errorf("%q", log)
		}
	})
}
